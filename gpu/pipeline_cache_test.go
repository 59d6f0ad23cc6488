package gpu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vk "github.com/vulkan-go/vulkan"
)

var cacheProbe = probed{vendorID: 7, deviceID: 8, driverVersion: 9, driverName: "d", cacheUUID: [16]byte{1, 2, 3}}

// cacheData is what a driver would give out: its head, then n random bytes.
func cacheData(p *probed, n int, seed uint64) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 32)
	for _, u := range []uint32{1, p.vendorID, p.deviceID} {
		b = binary.LittleEndian.AppendUint32(b, u)
	}
	b = append(b, p.cacheUUID[:]...)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range n {
		b = append(b, byte(rng.Uint32()))
	}
	return b
}

// TestPipelineStore: what was saved comes back for the same driver and no other.
func TestPipelineStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	data := cacheData(&cacheProbe, 1000, 1)
	s := newPipelineStore(dir, &cacheProbe)
	if got := s.load(&cacheProbe); got != nil || s.Stats().State != "miss" {
		t.Fatalf("got %d bytes, %+v", len(got), s.Stats())
	}
	s.save(data, &cacheProbe)
	again := newPipelineStore(dir, &cacheProbe)
	if got := again.load(&cacheProbe); !bytes.Equal(got, data) || again.Stats().State != "hit" {
		t.Fatalf("got %d bytes, %+v", len(got), again.Stats())
	}
	for name, edit := range map[string]func(*probed){
		"vendor": func(p *probed) { p.vendorID++ }, "device": func(p *probed) { p.deviceID++ }, "version": func(p *probed) { p.driverVersion++ },
		"uuid": func(p *probed) { p.cacheUUID[15]++ }, "driver": func(p *probed) { p.driverInfo = "x" }} {
		other := cacheProbe
		edit(&other)
		if o := newPipelineStore(dir, &other); o.load(&other) != nil {
			t.Errorf("another %s: a hit", name)
		}
	}
	again.save(data, &cacheProbe)
	if again.Stats().Saved {
		t.Error("the same data was written again")
	}
	s.save([]byte("no head"), &cacheProbe)
	if again = newPipelineStore(dir, &cacheProbe); again.load(&cacheProbe) == nil {
		t.Error("data without a driver's head was saved")
	}
}

// TestDamagedPipelineFile: every damage is a miss, and the next save mends it.
func TestDamagedPipelineFile(t *testing.T) {
	dir := t.TempDir()
	data := cacheData(&cacheProbe, 500, 2)
	s := newPipelineStore(dir, &cacheProbe)
	s.save(data, &cacheProbe)
	file := s.Stats().File
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o666); err != nil {
			t.Fatal(err)
		}
		o := newPipelineStore(dir, &cacheProbe)
		if o.load(&cacheProbe) != nil || o.Stats().State != "miss" || o.Stats().Why == "" {
			t.Errorf("%s: got %+v, want a miss", what, o.Stats())
		}
		o.save(data, &cacheProbe)
		if n := newPipelineStore(dir, &cacheProbe); n.load(&cacheProbe) == nil {
			t.Errorf("%s: it was not mended: %+v", what, n.Stats())
		}
	}
	step := 1
	if testing.Short() {
		step = 13
	}
	for n := 0; n < len(good); n += step {
		try(fmt.Sprintf("cut off after %d bytes", n), good[:n])
		bad := bytes.Clone(good)
		bad[n] ^= 0x10
		try(fmt.Sprintf("byte %d damaged", n), bad)
	}
	try("a byte too many", append(bytes.Clone(good), 0))
	try("text", []byte(strings.Repeat("hello ", 100)))
	os.Remove(file)
	if err := os.Mkdir(file, 0o777); err != nil {
		t.Fatal(err)
	}
	o := newPipelineStore(dir, &cacheProbe)
	if o.load(&cacheProbe) != nil {
		t.Error("a folder: a hit")
	}
	o.save(data, &cacheProbe)
	if o.Stats().Saved || o.Stats().Why == "" {
		t.Errorf("over a folder: %+v", o.Stats())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

// TestPipelineFolder: where nothing can be written nothing is lost but time; off writes nothing; old files go.
func TestPipelineFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	data := cacheData(&cacheProbe, 10, 3)
	for _, bad := range []string{file, filepath.Join(file, "x"), "/proc/nothing", "/dev/full"} {
		s := newPipelineStore(bad, &cacheProbe)
		s.load(&cacheProbe)
		s.save(data, &cacheProbe)
		if s.Stats().Saved || s.Stats().Why == "" {
			t.Errorf("%s: %+v", bad, s.Stats())
		}
	}
	t.Setenv("VKINFER_PIPELINE_CACHE", "OFF")
	if s := newPipelineStore("", &cacheProbe); s.Stats().State != "off" {
		t.Errorf("got %+v", s.Stats())
	}
	t.Setenv("VKINFER_PIPELINE_CACHE", "")
	t.Setenv("VKINFER_CACHE", dir)
	if got, err := PipelineCacheDir(""); err != nil || got != filepath.Join(dir, "pipelines") {
		t.Errorf("got %s, %v", got, err)
	}
	many := filepath.Join(dir, "many")
	if err := os.Mkdir(many, 0o777); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-2 * staleTemp)
	for i := range maxCacheFiles + 5 {
		name := filepath.Join(many, fmt.Sprintf("%03d%s", i, cacheSuffix))
		if err := errors.Join(os.WriteFile(name, nil, 0o666), os.Chtimes(name, past, past.Add(time.Duration(i)*time.Second))); err != nil {
			t.Fatal(err)
		}
	}
	stale, fresh, foreign := filepath.Join(many, ".1"+cacheSuffix), filepath.Join(many, ".2"+cacheSuffix), filepath.Join(many, "mine.txt")
	for _, f := range []string{stale, fresh, foreign} {
		if err := os.WriteFile(f, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(stale, past, past); err != nil {
		t.Fatal(err)
	}
	s := newPipelineStore(many, &cacheProbe)
	s.save(data, &cacheProbe)
	left, _ := filepath.Glob(filepath.Join(many, "*"+cacheSuffix))
	count := 0
	for _, f := range left {
		if !strings.HasPrefix(filepath.Base(f), ".") {
			count++
		}
	}
	exists := func(f string) bool { _, err := os.Stat(f); return err == nil }
	if count != maxCacheFiles || exists(stale) || !exists(fresh) || !exists(foreign) || !exists(s.Stats().File) || exists(filepath.Join(many, "005"+cacheSuffix)) {
		t.Errorf("%d files left, want %d, without the oldest and the stale temporary one: %v", count, maxCacheFiles, left)
	}
}

// TestKilledWhileSaving kills processes at random moments while they save, and reads after each: there is a whole
// file or none.
func TestKilledWhileSaving(t *testing.T) {
	const env = "VKINFER_TEST_SAVE_TO"
	if dir := os.Getenv(env); dir != "" {
		for i := uint64(0); ; i++ {
			newPipelineStore(dir, &cacheProbe).save(cacheData(&cacheProbe, 300_000, i%7), &cacheProbe)
		}
	}
	dir := t.TempDir()
	rounds, hits, temps := 30, 0, 0
	if testing.Short() {
		rounds = 5
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range rounds {
		self := self()
		cmd := exec.Command(self[0], append(self[1:], "-test.run=^TestKilledWhileSaving$")...)
		cmd.Env = append(os.Environ(), env+"="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(30+rng.IntN(150)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		s := newPipelineStore(dir, &cacheProbe)
		switch data := s.load(&cacheProbe); {
		case data != nil:
			hits++
		case !strings.Contains(s.Stats().Why, "no such file"):
			t.Fatalf("after a kill: %s", s.Stats().Why)
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	temps = len(left)
	t.Logf("%d kills, %d with a whole file to read, %d temporary files left", rounds, hits, temps)
	if hits == 0 {
		t.Error("no process saved anything before it was killed")
	}
}

// TestPipelinesAreKept: a device saves what it compiled, the next one reads it, and damaged or foreign data that
// reaches the driver is a miss.
func TestPipelinesAreKept(t *testing.T) {
	dir := t.TempDir()
	once := func() PipelineCacheStats {
		t.Helper()
		d := open(t, Options{PipelineCache: dir})
		e := testExecutor(t, d, testPlan(testShape), ExecutorOptions{})
		mustRun(t, e, testInput(testShape, 1, 1), 1)
		return d.PipelineCache()
	}
	first, second := once(), once()
	if first.State != "miss" || !first.Saved || second.State != "hit" || second.Bytes < 32 {
		t.Errorf("got %+v, then %+v", first, second)
	}
	// The driver refuses it: everything goes on without.
	tries := 0
	hook := func(name string) vk.Result {
		if name == "vkCreatePipelineCache" {
			if tries++; tries == 1 {
				return vk.ErrorOutOfHostMemory
			}
		}
		return vk.Success
	}
	faultHook.Store(&hook)
	third := once()
	faultHook.Store(nil)
	if third.State != "miss" || !strings.Contains(third.Why, "refused") || tries != 2 {
		t.Errorf("got %+v after %d tries", third, tries)
	}
	d := open(t, Options{PipelineCache: "off"})
	if s := d.PipelineCache(); s.State != "off" {
		t.Errorf("off: got %+v", s)
	}
	if d.Caps().Type != "cpu" {
		return
	}
	// Garbage behind a driver's own head, in a frame that is right: no accident does that, and drivers for the
	// CPU have nothing there that it could harm.
	s := newPipelineStore(dir, &d.probed)
	s.save(cacheData(&d.probed, 5000, 4), &d.probed)
	if fourth := once(); fourth.State != "hit" || fourth.Bytes < 32 {
		t.Errorf("garbage behind the head: got %+v", fourth)
	}
}
