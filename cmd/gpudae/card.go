package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gpudae/baseline"
	"gpudae/internal/atomicfile"
	"gpudae/model"
	"gpudae/train"
)

// cardFile is the model card in a run folder (Mitchell et al. 2019).
const cardFile = "MODEL_CARD.md"

// modelCard is what a card tells: figures that the run has measured, and what
// follows from them and from the configuration, nothing else.
type modelCard struct {
	saved      *train.Saved
	corruption *corruptionReport
	quality    *assessment // nil if nothing was held out
}

// removeOld removes a file if it is there.
func removeOld(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cannotWrite(path, err)
	}
	return nil
}

// removeAllOld removes what an earlier session told of a run, which would become
// untrue.
func removeAllOld(dir string, names ...string) error {
	for _, name := range names {
		if err := removeOld(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// write writes the card of a run.
func (m *modelCard) write(dir string) error {
	return atomicfile.Write(filepath.Join(dir, cardFile), func(w io.Writer) error {
		_, err := io.WriteString(w, m.String())
		return err
	})
}

// String is the card in Markdown.
func (m *modelCard) String() string {
	s := m.saved
	use := cardUsage
	if s.Columns != nil {
		use = tableCardUsage
	}
	parts := []string{
		"# A denoising auto-encoder of " + s.Schema.Name,
		m.summary(),
		"## Model\n\n" + m.architecture(),
		"## Data\n\n" + bullets(dataFacts(s)),
		"## Corruption\n\n" + fenced(m.corruption.String()),
		"## Results\n\n" + m.results(),
		"## Intended use and limits\n\n" + bullets(m.limits()),
		"## Use\n\n" + use,
		"## Provenance\n\n" + bullets(provenanceFacts(s)),
	}
	return strings.Join(parts, "\n\n") + "\n"
}

func (m *modelCard) summary() string {
	d := m.saved.DAE
	target := "the mean of p(x|h)"
	if d.IsScoreModel() {
		target = "E[x|x̃] at the noise level that it is told, and with it the score ∇ log p"
	}
	return fmt.Sprintf("It takes examples like those of %s under %s and gives the clean ones back: %s, by way of a code of %s. Trained by gpudae %s.",
		m.saved.Schema.Name, noiseName(d), target, count(d.CodeWidth(), "number"), m.saved.Version)
}

func (m *modelCard) architecture() string {
	s, d := m.saved, m.saved.DAE
	facts := []string{sizeText(d.ParameterCount(), d.BufferCount()) + " parameters, " + flopText(d.FLOPs(false)) + " an example"}
	if d.IsScoreModel() {
		facts = append(facts, "objective: denoising score matching")
	} else {
		l := model.Likelihoods()[d.Likelihood().Kind]
		facts = append(facts, fmt.Sprintf("objective: -log p(x|h), %s: %s (%s)", d.Likelihood(), l.Formula, l.Source))
	}
	if d.CodeDistribution().Stochastic {
		facts = append(facts, "code: "+codeText(d))
	}
	if links := d.Config().Walkback; links > 1 {
		facts = append(facts, fmt.Sprintf("walkback: trained along Markov chains of %d links (Bengio et al. 2013)", links))
	}
	facts = append(facts, "optimizer: "+s.Config.Optimizer+", learning rate "+number(s.Config.LR).String())
	return bullets(facts) + "\n\n" + fenced(layerTable(layersJSON(d), d.Embeddings()))
}

func dataFacts(s *train.Saved) []string {
	info := s.Schema
	facts := []string{dataText(info), "SHA-256 " + info.SHA256,
		fmt.Sprintf("%d rows to train, %d held out, drawn by seed %d", s.Split.Rows-s.Split.Held, s.Split.Held, s.Split.Seed),
		"scaling: " + scalerText(s.Scaler)}
	if s.Columns != nil {
		facts[len(facts)-1] = "columns: " + code(train.SchemaFile) + ", also within the model file"
	}
	if info.Columns != nil {
		facts = append(facts, "columns: "+code(columnsText(info.Columns)))
	}
	if info.Licence != "" {
		facts = append(facts, "licence of the data: "+info.Licence)
	}
	return facts
}

func (m *modelCard) results() string {
	if m.quality == nil {
		return "No rows were held out, so nothing is known about examples that the model has not seen."
	}
	return fmt.Sprintf("Best epoch %d; %s, under the same noise; %s.\n\n", m.saved.Row.Epoch, heldOut(m.saved.Split), m.quality.legend()) +
		fenced(m.quality.table()+m.quality.boundsText())
}

// limits are stated only where they hold.
func (m *modelCard) limits() []string {
	s := m.saved
	if s.Columns != nil {
		return m.tableLimits()
	}
	list := []string{
		fmt.Sprintf("For removing %s from examples like those of %s, and for their codes.", noiseName(s.DAE), s.Schema.Name),
		"The figures above are for rows of the same data under the same noise. For others measure first: " + m.measureCommand() + ".",
		"A reconstruction is an average over the clean examples that are possible, so it is smoother than any of them. It is no draw from the data: for that there is `gpudae sample`.",
		fmt.Sprintf("The training values lie between %v and %v; beyond them the model extrapolates.", s.Schema.Min, s.Schema.Max),
	}
	if best, mse := m.bestBaseline(); m.quality != nil && mse <= m.quality.MSE {
		list = append(list, fmt.Sprintf("On the held-out rows %s has the smaller squared error: this model does not beat it.", best))
	}
	if s.Split.Held > 0 && s.Split.Held < fewRows {
		list = append(list, fmt.Sprintf("Only %s held out: the figures are uncertain.", count(s.Split.Held, "row")))
	}
	if s.Schema.Columns != nil {
		list = append(list, "It expects the columns under the names and in the order of the training data.")
	}
	return append(list, "It has not been examined for fairness, privacy or resistance to manipulation; training examples may be recoverable from it.")
}

// tableLimits are those of models of mixed columns.
func (m *modelCard) tableLimits() []string {
	s := m.saved
	list := []string{
		fmt.Sprintf("For rows like those of %s: for filling cells, finding odd ones, and for codes.", s.Schema.Name),
		"The figures above are for rows of the same data under the same corruption. For others measure first: " + code("gpudae eval MODEL DATA --corruption SPEC") + ".",
		"A reconstructed cell is the mean of a number or the most probable category, not a draw.",
		"Columns are found by their names; a category that the training rows did not have is taken as unknown.",
	}
	if m.quality != nil {
		if worse := m.worseColumns(); len(worse) > 0 {
			list = append(list, "On destroyed cells the mean or the most frequent value is at least as good in "+code(columnsText(worse))+".")
		}
	}
	if s.Split.Held > 0 && s.Split.Held < fewRows {
		list = append(list, fmt.Sprintf("Only %s held out: the figures are uncertain.", count(s.Split.Held, "row")))
	}
	return append(list, "It has not been examined for fairness, privacy or resistance to manipulation; training examples may be recoverable from it.")
}

// worseColumns are those of which the model knows no more than their marginals.
func (m *modelCard) worseColumns() []string {
	var names []string
	for i := range m.quality.columns {
		if part, ok := m.quality.columns[i].error(); ok && part >= 1 {
			names = append(names, m.quality.columns[i].name)
		}
	}
	return names
}

// measureCommand measures the model on what the card has no figures of.
func (m *modelCard) measureCommand() string {
	if m.saved.DAE.IsScoreModel() {
		return code("gpudae eval MODEL DATA")
	}
	return code("gpudae eval MODEL DATA --corruption SPEC")
}

// fewRows is a number of held-out rows below which a card warns: a standard
// error of more than a tenth of the standard deviation.
const fewRows = 100

// bestBaseline is the one with the least squared error.
func (m *modelCard) bestBaseline() (name string, mse float64) {
	if m.quality == nil {
		return "", 0
	}
	t := m.quality.baseline
	name, mse = "identity", t.Identity.MSE
	better := func(other string, score *baseline.Score) {
		if score != nil && score.MSE < mse {
			name, mse = withComponents(other, score.Components), score.MSE
		}
	}
	better("the mean", &t.Mean)
	better("pca", &t.PCA)
	better("ppca", t.PPCA)
	better("fa", t.FA)
	return name, mse
}

const cardUsage = "The folder of this file is a run of gpudae; its `model.safetensors` alone is enough.\n\n" +
	"    gpudae denoise MODEL noisy.npy -o clean.npy\n" +
	"    gpudae encode MODEL data.npy -o codes.npy\n" +
	"    gpudae eval MODEL data.npy\n" +
	"    gpudae export MODEL -o model.onnx\n\n" +
	"The weights have PyTorch's names and shapes."

const tableCardUsage = "The folder of this file is a run of gpudae; its `model.safetensors` alone is enough, the schema of the columns included.\n\n" +
	"    gpudae denoise MODEL data.csv -o filled.csv\n" +
	"    gpudae encode MODEL data.csv -o codes.parquet\n" +
	"    gpudae eval MODEL data.csv\n" +
	"    gpudae export MODEL -o model.onnx\n\n" +
	"The weights have PyTorch's names and shapes."

func provenanceFacts(s *train.Saved) []string {
	facts := []string{"gpudae " + s.Version}
	p := s.Provenance
	for _, f := range []struct{ name, value string }{{"command: ", code(p.Command)}, {"started ", p.Started}, {"on ", strings.TrimPrefix(p.Platform+", "+p.Device, ", ")}} {
		if f.value != "" {
			facts = append(facts, f.name+f.value)
		}
	}
	return append(facts, "all settings: "+code(train.SettingsFile)+", also within the model file")
}

// code sets text as it is; one with a backquote needs two around it.
func code(text string) string {
	switch {
	case text == "":
		return ""
	case strings.Contains(text, "`"):
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}

// fenced is text in columns.
func fenced(text string) string {
	return "```text\n" + strings.TrimRight(text, "\n") + "\n```"
}

// bullets lists sentences.
func bullets(list []string) string {
	return "- " + strings.Join(list, "\n- ")
}
