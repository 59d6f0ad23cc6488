// Soak runs many tiny pictures through the program, and fails if a row is lost, repeated or out of order, or if memory
// grows with the number of pictures.
//
//	go run ./tests/soak [-vkinfer bin/vkinfer] [-n 100000] [-source tar,folder] [-growth MiB] [-device NAME]
//
// Linux only: memory is what /proc tells of the process.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// damagedEvery is how often a picture is cut short, so that errors are many too.
const damagedEvery = 1000

type soak struct {
	program, device, dir string
	n, batch             int
	growth               int64 // KiB
}

func main() {
	s := soak{}
	sources := flag.String("source", "tar,folder", "where the pictures lie: tar, folder, or both")
	growth := flag.Int64("growth", 48, "MiB by which the resident memory may exceed that of the first tenth")
	flag.StringVar(&s.program, "vkinfer", "bin/vkinfer", "the program")
	flag.StringVar(&s.device, "device", "vulkan", "the device")
	flag.IntVar(&s.n, "n", 100000, "pictures, at least 1000")
	flag.IntVar(&s.batch, "batch", 256, "pictures in a batch")
	flag.Parse()
	s.growth = *growth << 10
	if err := s.all(strings.Split(*sources, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func (s *soak) all(sources []string) (err error) {
	if s.n < 1000 {
		return fmt.Errorf("-n %d, want at least 1000", s.n)
	}
	if s.dir, err = os.MkdirTemp("", "vkinfer-soak"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if out, err := exec.Command(s.program, "synth", "efficientnet_b1_pruned", "--classes", "10", "-o", s.weights()).CombinedOutput(); err != nil {
		return fmt.Errorf("%s synth: %w: %s", s.program, err, out)
	}
	for _, source := range sources {
		make, ok := map[string]func(string) error{"tar": s.makeTar, "folder": s.makeFolder}[source]
		if !ok {
			return fmt.Errorf("-source %s, want tar, folder or both with a comma", source)
		}
		path := filepath.Join(s.dir, "pictures."+source)
		if err := make(path); err != nil {
			return err
		}
		if err := s.classify(source, path); err != nil {
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

// picture makes a tiny JPEG or PNG picture, each another.
func picture(i int) ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for at := range img.Pix {
		img.Pix[at] = byte(i>>(at%3*8)) ^ byte(at)
		if at%4 == 3 {
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

func (s *soak) makeTar(path string) error {
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

func (s *soak) makeFolder(path string) error {
	for i := range s.n {
		to := filepath.Join(path, s.name(i))
		data, err := picture(i)
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

// classify runs the program and judges what it says and what it takes.
func (s *soak) classify(source, path string) error {
	cmd := exec.Command(s.program, "classify", "efficientnet_b1_pruned", "--checkpoint", s.weights(), "--device", s.device, "--img-size", "16",
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
	defer cmd.Process.Kill() // if what follows fails
	var rows atomic.Int64
	var first, after int64 // peaks, KiB
	stop, watch := make(chan struct{}), sync.WaitGroup{}
	watch.Go(func() {
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				if rss := resident(cmd.Process.Pid); rows.Load() < int64(s.n/10) {
					first = max(first, rss)
				} else {
					after = max(after, rss)
				}
			}
		}
	})
	err = s.check(path, out, func(i int) {
		rows.Store(int64(i))
		if i%(s.n/10) == 0 {
			fmt.Printf("%s: %d pictures after %.0f s, %.1f MiB resident\n", source, i, time.Since(begin).Seconds(), float64(resident(cmd.Process.Pid))/1024)
		}
	})
	close(stop)
	watch.Wait()
	if err != nil {
		return fmt.Errorf("%w; it said: %s", err, said)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 { // some are damaged
		return fmt.Errorf("exit status %d, want 1: %s", code, said)
	}
	took := time.Since(begin)
	fmt.Printf("%s: %d pictures in %.1f s (%.0f/s); resident at most %.1f MiB in the first tenth, %.1f MiB later\n", source, s.n, took.Seconds(),
		float64(s.n)/took.Seconds(), float64(first)/1024, float64(after)/1024)
	switch {
	case first == 0 || after == 0:
		return errors.New("it was too fast to see its memory, want a larger -n")
	case after > first+s.growth:
		return fmt.Errorf("memory grew by %.1f MiB after the first tenth, want at most %d", float64(after-first)/1024, s.growth>>10)
	}
	return nil
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
