// Soak runs many tiny pictures through the program, and fails if a row is lost, repeated or out of order, or if memory
// grows with the number of pictures.
//
//	go run ./tests/soak [-vkinfer bin/vkinfer] [-n 100000] [-source tar,folder] [-growth MiB] [-device NAME]
//
// Memory is the largest resident set, from /proc (Linux only): that of the second tenth, when all that is made once has
// been made and its making is over, is what the later ones are held against.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"
)

// damagedEvery is how often a picture is cut short, so that errors are many too.
const damagedEvery = 1000

type soak struct {
	program, device, dir string
	n, batch             int
	growth               int64 // KiB
	table                *tabwriter.Writer
}

func main() {
	s := soak{}
	sources := flag.String("source", "tar,folder", "where the pictures lie: tar, folder, or both")
	growth := flag.Int64("growth", 32, "MiB by which the resident memory may exceed what it was after the first tenth")
	flag.StringVar(&s.program, "vkinfer", "bin/vkinfer", "the program")
	flag.StringVar(&s.device, "device", "vulkan", "the device")
	flag.IntVar(&s.n, "n", 100000, "pictures, at least 1000 and ten batches")
	flag.IntVar(&s.batch, "batch", 256, "pictures in a batch")
	flag.Parse()
	s.growth = *growth << 10
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // so that the folder is removed
	defer stop()
	s.table = tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(s.table, "source\tpictures\ttime\tpictures/s\tMiB after the first tenth\tlargest later\t")
	err := s.all(ctx, strings.Split(*sources, ","))
	s.table.Flush()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func (s *soak) all(ctx context.Context, sources []string) (err error) {
	if least := max(damagedEvery, 10*s.batch); s.n < least {
		return fmt.Errorf("-n %d, want at least %d: a tenth is a batch, and one is damaged", s.n, least)
	}
	if s.dir, err = os.MkdirTemp("", "vkinfer-soak"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if out, err := exec.CommandContext(ctx, s.program, "synth", "efficientnet_b1_pruned", "--classes", "10", "-o", s.weights()).CombinedOutput(); err != nil {
		return fmt.Errorf("%s synth: %w: %s", s.program, err, out)
	}
	for _, source := range sources {
		fill, ok := map[string]func(context.Context, string) error{"tar": s.makeTar, "folder": s.makeFolder}[source]
		if !ok {
			return fmt.Errorf("-source %s, want tar, folder or both with a comma", source)
		}
		path := filepath.Join(s.dir, "pictures."+source)
		if err := fill(ctx, path); err != nil {
			return err
		}
		if err := s.classify(ctx, source, path); err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

func (s *soak) weights() string { return filepath.Join(s.dir, "weights.safetensors") }

// name is picture i's; in this order a folder is searched.
func (s *soak) name(i int) string {
	return fmt.Sprintf("%04d/%07d.%s", i/1000, i, []string{"jpg", "png"}[i%2])
}

func damaged(i int) bool { return i%damagedEvery == damagedEvery/2 }

// picture makes a tiny JPEG or PNG picture, each another but for what is left of damaged ones.
func picture(i int) ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, 8, 8))
	noise := rand.New(rand.NewPCG(1, uint64(i))) // of which JPEG keeps enough
	for at := range img.Pix {
		if img.Pix[at] = byte(noise.Uint32()); at%4 == 3 {
			img.Pix[at] = 255
		}
	}
	var b bytes.Buffer
	err := error(nil)
	if i%2 == 0 {
		err = jpeg.Encode(&b, img, nil)
	} else {
		err = png.Encode(&b, img)
	}
	if damaged(i) {
		b.Truncate(b.Len() / 2)
	}
	return b.Bytes(), err
}

func (s *soak) makeTar(ctx context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := bufio.NewWriterSize(f, 1<<20)
	w := tar.NewWriter(buf)
	for i := range s.n {
		data, err := picture(i)
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: s.name(i), Size: int64(len(data)), Mode: 0o644})
		}
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), buf.Flush(), f.Close())
}

func (s *soak) makeFolder(ctx context.Context, path string) error {
	for i := range s.n {
		to := filepath.Join(path, s.name(i))
		data, err := picture(i)
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && i%1000 == 0 {
			err = os.MkdirAll(filepath.Dir(to), 0o777)
		}
		if err == nil {
			err = os.WriteFile(to, data, 0o666)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// memory is what a process has resident while it works through n pictures, KiB.
type memory struct {
	n           int
	base, later int64 // largest in the second tenth, and after it
}

// seen adds what was resident after a number of rows.
func (m *memory) seen(rows int, rss int64) {
	switch tenth := m.n / 10; {
	case rows >= 2*tenth:
		m.later = max(m.later, rss)
	case rows >= tenth:
		m.base = max(m.base, rss)
	}
}

// judge says what is wrong.
func (m *memory) judge(growth int64) error {
	switch {
	case m.base == 0 || m.later == 0:
		return errors.New("it was too fast to see its memory, want a larger -n")
	case m.later > m.base+growth:
		return fmt.Errorf("memory grew by %.1f MiB after the first tenth, want at most %d", float64(m.later-m.base)/1024, growth>>10)
	}
	return nil
}

// classify runs the program and judges what it says and what it takes.
func (s *soak) classify(ctx context.Context, source, path string) error {
	cmd := exec.CommandContext(ctx, s.program, "classify", "efficientnet_b1_pruned", "--checkpoint", s.weights(), "--device", s.device, "--img-size", "16",
		"-b", strconv.Itoa(s.batch), "--topk", "1", "-o", "jsonl", "-q", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	said := &tail{}
	cmd.Stderr = said
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	var rows atomic.Int64
	held := memory{n: s.n}
	stop, watch := make(chan struct{}), sync.WaitGroup{}
	watch.Go(func() {
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				held.seen(int(rows.Load()), resident(cmd.Process.Pid))
			}
		}
	})
	err = s.check(path, out, func(i int) {
		rows.Store(int64(i))
		if i%(s.n/10) == 0 {
			fmt.Fprintf(os.Stderr, "%s: %d pictures after %.0f s, %.1f MiB resident\n", source, i, time.Since(begin).Seconds(), float64(resident(cmd.Process.Pid))/1024)
		}
	})
	close(stop)
	watch.Wait()
	took := time.Since(begin)
	if err != nil && !errors.Is(err, io.EOF) {
		cmd.Process.Kill() // it may wait for a reader
	}
	cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w; it said: %s", err, said)
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 { // some are damaged
		return fmt.Errorf("exit status %d, want 1: %s", code, said)
	}
	fmt.Fprintf(s.table, "%s\t%d\t%.1f s\t%.0f\t%.1f\t%.1f\t\n", source, s.n, took.Seconds(), float64(s.n)/took.Seconds(),
		float64(held.base)/1024, float64(held.later)/1024)
	return held.judge(s.growth)
}

// check reads rows, which must be those of all pictures, in their order, and tells after each how many there are.
func (s *soak) check(path string, out io.Reader, done func(rows int)) error {
	d := json.NewDecoder(bufio.NewReaderSize(out, 1<<16))
	for i := range s.n {
		var row struct {
			Filename, Error string
			Predictions     []struct{ Prob float64 }
		}
		if err := d.Decode(&row); err != nil {
			return fmt.Errorf("row %d of %d: %w", i, s.n, err)
		}
		if want := path + "/" + s.name(i); row.Filename != want {
			return fmt.Errorf("row %d is of %s, want %s", i, row.Filename, want)
		}
		if damaged(i) != (row.Error != "") || damaged(i) == (len(row.Predictions) == 1) {
			return fmt.Errorf("%s: error %q and %d predictions", row.Filename, row.Error, len(row.Predictions))
		}
		done(i + 1)
	}
	if d.More() {
		return fmt.Errorf("more than %d rows", s.n)
	}
	return nil
}

// resident returns a process's resident memory in KiB, 0 if it has ended.
func resident(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// tail keeps the last of what is written.
type tail struct{ data []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.data = append(t.data, b...)
	t.data = t.data[max(0, len(t.data)-2000):]
	return len(b), nil
}

func (t *tail) String() string { return string(t.data) }
