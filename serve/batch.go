package serve

import (
	"context"
	"slices"
	"sync/atomic"

	"gorgonia.org/tensor"

	"gpudae/data"
)

// job is a request that waits for its computation.
type job struct {
	ctx   context.Context
	group group
	x     *tensor.Dense // [rows, features] in the scale of training
	done  chan result   // of capacity 1: nobody may be waiting any more
}

// group is what jobs that are computed together have in common.
type group struct {
	op     computer // a pointer
	shared any      // comparable; of the parameters of a request
}

// computer is what POST /v1/NAME computes: *Operation or *TableOperation.
type computer interface {
	// compute returns a row for each row of x. numbers are those of the rows in
	// their requests, from 0.
	compute(ctx context.Context, x *tensor.Dense, numbers []int, shared any) (*tensor.Dense, error)
}

type result struct {
	y   *tensor.Dense // [rows, columns]
	err error
}

func (j *job) rows() int { return j.x.Shape()[0] }

// batcher computes jobs, those that wait together as far as they can be. One
// goroutine, that of run, calls Operation.Compute.
type batcher struct {
	queue   chan *job
	rows    int // most of a batch of several jobs
	metrics *metrics
}

// newBatcher returns one whose queue has room for as many jobs as there can be,
// so that submitting never blocks.
func newBatcher(rows, jobs int, m *metrics) *batcher {
	return &batcher{queue: make(chan *job, jobs), rows: rows, metrics: m}
}

// compute waits for a job's result, at most until its context ends.
func (b *batcher) compute(j *job) (*tensor.Dense, error) {
	j.done = make(chan result, 1)
	select {
	case b.queue <- j:
	case <-j.ctx.Done():
		return nil, j.ctx.Err()
	}
	select {
	case r := <-j.done:
		return r.y, r.err
	case <-j.ctx.Done():
		return nil, j.ctx.Err()
	}
}

// run computes until ctx ends.
func (b *batcher) run(ctx context.Context) {
	var waiting []*job
	for {
		if len(waiting) == 0 {
			select {
			case j := <-b.queue:
				waiting = append(waiting, j)
			case <-ctx.Done():
				return
			}
		}
		waiting = b.drainInto(waiting)
		var batch []*job
		batch, waiting = split(waiting, b.rows)
		b.computeBatch(ctx, batch)
	}
}

// drainInto appends the jobs that are in the queue, without those that nobody
// waits for any more.
func (b *batcher) drainInto(waiting []*job) []*job {
	for {
		select {
		case j := <-b.queue:
			waiting = append(waiting, j)
			continue
		default:
		}
		return slices.DeleteFunc(waiting, func(j *job) bool { return j.ctx.Err() != nil })
	}
}

// split takes the first job and those that can be computed with it, in order,
// up to a number of rows; a job of more is a batch of its own.
func split(waiting []*job, most int) (batch, rest []*job) {
	rows := 0
	for i, j := range waiting {
		first := i == 0
		fits := first || j.group == batch[0].group && rows+j.rows() <= most
		if !fits {
			rest = append(rest, j)
			continue
		}
		batch, rows = append(batch, j), rows+j.rows()
	}
	return batch, rest
}

func (b *batcher) computeBatch(ctx context.Context, batch []*job) {
	if len(batch) == 0 {
		return
	}
	x := joined(batch)
	b.metrics.batch(len(batch), x.Shape()[0])
	ctx, release := whileAwaited(ctx, batch)
	defer release()
	group := batch[0].group
	y, err := group.op.compute(ctx, x, numbers(batch), group.shared)
	if err != nil {
		for _, j := range batch {
			j.done <- result{err: err}
		}
		return
	}
	values, width, from := data.Float32s(y), y.Shape()[1], 0
	for _, j := range batch {
		to := from + j.rows()*width
		part := slices.Clone(values[from:to]) // so that a small answer does not keep a large batch
		j.done <- result{y: tensor.New(tensor.WithShape(j.rows(), width), tensor.WithBacking(part))}
		from = to
	}
}

// whileAwaited is a context that ends when nobody waits for any of the jobs.
func whileAwaited(ctx context.Context, batch []*job) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	var waiting atomic.Int64
	waiting.Store(int64(len(batch)))
	var stops []func() bool
	for _, j := range batch {
		stops = append(stops, context.AfterFunc(j.ctx, func() {
			if waiting.Add(-1) == 0 {
				cancel()
			}
		}))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// numbers are those of the rows in their jobs.
func numbers(batch []*job) []int {
	var all []int
	for _, j := range batch {
		for i := range j.rows() {
			all = append(all, i)
		}
	}
	return all
}

// joined is the matrix of the rows of all jobs.
func joined(batch []*job) *tensor.Dense {
	if len(batch) == 1 {
		return batch[0].x
	}
	var values []float32
	rows := 0
	for _, j := range batch {
		values, rows = append(values, data.Float32s(j.x)...), rows+j.rows()
	}
	return tensor.New(tensor.WithShape(rows, batch[0].x.Shape()[1]), tensor.WithBacking(values))
}
