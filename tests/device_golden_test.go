package tests

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
	"github.com/vkinfer/vkinfer/tests/oracle"
	"github.com/vkinfer/vkinfer/weights"
)

// TestDeviceGoldenLogits runs every case of the oracle on the device.
func TestDeviceGoldenLogits(t *testing.T) {
	for _, c := range slices.Concat(oracle.TinyCases(t), oracle.Cases(t)) {
		t.Run(c.Model+"/"+c.Name, func(t *testing.T) {
			g := buildCase(t, c)
			eachPrecision(t, func(t *testing.T, opts netplan.Options) {
				exec := executor(t, g, opts, c.N)
				checkPrecision(t, exec, runDevice(t, exec, c.Input(t), c.N), c.Logits(t), g.OutputShape().C)
			})
		})
	}
}

// TestDeviceGoldenTrace compares every traced tensor that the device materialises.
func TestDeviceGoldenTrace(t *testing.T) {
	for _, c := range slices.Concat(oracle.TinyCases(t), oracle.Cases(t)) {
		if len(c.Trace()) == 0 {
			continue
		}
		t.Run(c.Model+"/"+c.Name, func(t *testing.T) {
			g := buildCase(t, c)
			eachPrecision(t, func(t *testing.T, opts netplan.Options) {
				opts.KeepAll = true
				checkDeviceTrace(t, executor(t, g, opts, c.N), c)
			})
		})
	}
}

func checkDeviceTrace(t *testing.T, exec *gpu.Executor, c oracle.Case) {
	t.Helper()
	gate := oracle.Float32Block
	if exec.Plan().Precision == netplan.PrecisionAMP {
		gate = oracle.AMPBlock
	}
	got, err := exec.Trace(t.Context(), c.Input(t), c.N)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]float32{}
	for _, v := range got {
		values[v.Yields] = v.Data
		if v.NotZero != 0 {
			t.Errorf("%s: %d padding lanes are not zero", v.Name, v.NotZero)
		}
	}
	compared, worst := 0, 0.0
	for _, v := range c.Trace() {
		for _, node := range v.Nodes() {
			if data, ok := values[node]; ok {
				compared++
				e := oracle.RelL2(data, v.Values(t))
				worst = max(worst, e)
				if !(e <= gate) {
					t.Errorf("%s (%s): relative error %.3g, want at most %.0e", v.Name, node, e, gate)
				}
			}
		}
	}
	t.Logf("%d tensors compared, worst %.2e", compared, worst)
	if 10*compared < 8*len(c.Trace()) { // the fused form materialises nearly all of them
		t.Errorf("only %d of %d traced tensors were compared", compared, len(c.Trace()))
	}
}

// TestDevicePictures classifies the oracle's pictures from their files, with -short every fourth.
func TestDevicePictures(t *testing.T) {
	spec := specOf(t, "efficientnet_b1_pruned")
	g, err := spec.Build(open(t, filepath.Join(oracle.Dir(t), "checkpoints", "efficientnet_b1_pruned.pth")), 240, 240)
	if err != nil {
		t.Fatal(err)
	}
	eachPrecision(t, func(t *testing.T, opts netplan.Options) {
		scale, offset := spec.Transform.Affine()
		opts.Pictures = &netplan.Normalization{Scale: scale, Offset: offset}
		exec := executor(t, g, opts, 1)
		for i, p := range oracle.Pictures(t) {
			if testing.Short() && i%4 != 0 {
				continue
			}
			t.Run(p.Name, func(t *testing.T) {
				file := oracle.Bytes(t, "pictures/"+p.Name)
				u8, err := spec.Transform.Picture(file, preprocess.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				got, err := exec.RunPictures(t.Context(), u8, 1)
				if err != nil {
					t.Fatal(err)
				}
				input, want := pictureInput(t, spec.Transform, file), p.Logits(t, "b1")
				if slices.Equal(input, p.Input(t, "b1")) {
					checkPrecision(t, exec, got, want, 1000)
					checkPrecision(t, exec, runDevice(t, exec, input, 1), want, 1000)
				} else {
					t.Log("decoded with differences; only the best class is compared")
				}
				if g, w := oracle.ArgMax(got), oracle.ArgMax(want); g != w {
					t.Errorf("best class %d, want %d", g, w)
				}
			})
		}
	})
}

func pictureInput(t testing.TB, tr preprocess.Transform, file []byte) []float32 {
	t.Helper()
	u8, err := tr.Picture(file, preprocess.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, len(u8))
	tr.Tensor(u8, x)
	return x
}

// TestDeviceTrained runs the network with really trained weights on its 200 labelled photographs. It is
// judged by float64 logits (testdata/trained_b3.npy, see TestTrainedReference): of 15 classes' logits
// float32 references are themselves off by as much as the gates allow.
func TestDeviceTrained(t *testing.T) {
	if testing.Short() {
		t.Skip("200 pictures, with -short")
	}
	spec := specOf(t, "efficientnet_b3_pruned")
	dir := filepath.Join(oracle.Dir(t), "trained")
	g, err := spec.Build(open(t, filepath.Join(dir, "efficientnet_b3_pruned_cattle15_derived.pth")), 300, 300)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := weights.ReadNPY(filepath.Join("testdata", "trained_b3.npy"))
	if err != nil {
		t.Fatal(err)
	}
	want, classes := ref.Float64s(), 15
	rows := trainedRows(t)
	if len(rows)*classes != len(want) {
		t.Fatalf("%d pictures, %d reference logits", len(rows), len(want))
	}
	inputs := trainedPictures(t, rows)
	eachPrecision(t, func(t *testing.T, opts netplan.Options) {
		n := len(rows)
		if opts.Precision == netplan.PrecisionAMP && os.Getenv("VKINFER_CONFORMANCE") != "full" {
			n = 40 // two breeds; the whole takes most of a minute on a CPU
		}
		checkTrained(t, executor(t, g, opts, 8), rows[:n], inputs[:n*len(inputs)/len(rows)], want[:n*classes])
	})
}

func checkTrained(t *testing.T, exec *gpu.Executor, rows []labelled, inputs []float32, want []float64) {
	t.Helper()
	const classes = 15
	gate, gateCentred := oracle.Float32Logits, oracle.Float32LogitsCentred
	if exec.Plan().Precision == netplan.PrecisionAMP { // 15 logits without a common offset
		gate, gateCentred = oracle.AMPLogitsCentred, oracle.AMPLogitsCentred
		if knownDevice(t) {
			gate = oracle.AMPLogits
		}
	}
	got := runDevice(t, exec, inputs, len(rows))
	right := 0
	var worstPlain, worstCentred float64
	for i, r := range rows {
		row := got[i*classes : (i+1)*classes]
		if oracle.ArgMax(row) == r.class {
			right++
		}
		ref := want[i*classes : (i+1)*classes]
		if g, w := oracle.ArgMax(row), oracle.ArgMax(ref); g != w && ref[w]-ref[g] > oracle.AMPMargin {
			t.Errorf("%s: best class %d, want %d, which is %.3f above it", r.file, g, w, ref[w]-ref[g])
		}
		plain, centred := oracle.LogitErrors(row, ref, classes)
		worstPlain, worstCentred = max(worstPlain, plain), max(worstCentred, centred)
		if plain > gate || centred > gateCentred {
			t.Errorf("%s: relative error %.3g, centred %.3g", r.file, plain, centred)
		}
	}
	t.Logf("%d of %d right, worst plain %.2e, centred %.2e", right, len(rows), worstPlain, worstCentred)
	if len(rows) == 200 && (right < 136 || right > 140) {
		t.Errorf("%d right, want 138 ± 2", right)
	}
}

type labelled struct {
	file  string
	class int
}

// trainedRows reads the photographs' names and classes.
func trainedRows(t testing.TB) []labelled {
	t.Helper()
	var rows []labelled
	sc := bufio.NewScanner(bytes.NewReader(oracle.Bytes(t, "trained/ref_b3_pruned_derived.tsv")))
	sc.Scan() // the heading
	for sc.Scan() {
		f := strings.Split(sc.Text(), "\t")
		class, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, labelled{f[0], class})
	}
	return rows
}
