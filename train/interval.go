package train

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"gpudae/model"
)

// Interval says when to write the checkpoint, beside the end of the run however
// it comes:
//
//	100steps     after every 100 steps
//	2epochs      at the end of every second epoch
//	30s, 5m, 1h  when so much time has passed, and at the ends of epochs as far
//	             as that costs little; a number alone is seconds
//	0            at the ends of epochs as far as that costs little
type Interval string

// UnmarshalJSON reads what versions wrote that knew seconds only, too.
func (v *Interval) UnmarshalJSON(text []byte) error {
	var seconds json.Number
	if err := json.Unmarshal(text, &seconds); err == nil {
		*v = Interval(seconds)
		return nil
	}
	return json.Unmarshal(text, (*string)(v))
}

// pace is a parsed Interval: at most one of its fields is set.
type pace struct {
	steps  uint64
	epochs uint64
	time   time.Duration
}

func (v Interval) parse() (pace, error) {
	text := strings.TrimSpace(string(v))
	bad := &model.ConfigError{Key: "checkpoint", Problem: strconv.Quote(text) + " is no interval", Remedy: "give one like 100steps, 2epochs, 30s or 5m; 0: at the ends of epochs only"}
	if count, unit := splitCount(text); unit != "" {
		n, err := strconv.ParseUint(count, 10, 63)
		if err != nil || n == 0 {
			return pace{}, bad
		}
		if unit == "step" {
			return pace{steps: n}, nil
		}
		return pace{epochs: n}, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, number := strconv.ParseFloat(text, 64); number == nil {
		d, err = time.Duration(seconds*float64(time.Second)), nil
		if !(seconds >= 0 && seconds < 1e9) {
			return pace{}, bad
		}
		if seconds > 0 {
			d = max(d, 1)
		}
	}
	if err != nil || d < 0 {
		return pace{}, bad
	}
	return pace{time: d}, nil
}

// splitCount divides a number of steps or epochs into number and unit, in the singular.
func splitCount(text string) (count, unit string) {
	singular := strings.TrimSuffix(text, "s")
	for _, unit := range []string{"step", "epoch"} {
		if count, found := strings.CutSuffix(singular, unit); found {
			return strings.TrimSpace(count), unit
		}
	}
	return text, ""
}

// afterStep reports whether so many steps call for a checkpoint.
func (p pace) afterStep(step uint64) bool { return p.steps > 0 && step%p.steps == 0 }

// Pace of the checkpoints that nobody asked for by number: at ends of epochs,
// seldom enough to cost a twentieth of the time at most.
const (
	saveInterval = time.Second // between two of them, at least
	saveShare    = 20
)

// afterEpoch reports whether the end of an epoch calls for a checkpoint, the last
// of which was written so long ago and took so long.
func (p pace) afterEpoch(epoch, step uint64, since, cost time.Duration) bool {
	switch {
	case p.steps > 0:
		return p.afterStep(step)
	case p.epochs > 0:
		return epoch%p.epochs == 0
	}
	return since >= max(saveInterval, saveShare*cost)
}

// within reports whether so long after the last checkpoint one is due within an epoch.
func (p pace) within(since time.Duration) bool { return p.time > 0 && since > p.time }
