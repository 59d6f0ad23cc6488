package gpu

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/vkinfer/vkinfer/internal/atomicfile"
	"github.com/vkinfer/vkinfer/shaders"
	vk "github.com/vulkan-go/vulkan"
)

// PipelineCacheStats says what became of the pipelines kept on disk. Nothing that goes wrong there is an error:
// what cannot be read is compiled again, and what cannot be written is not kept.
type PipelineCacheStats struct {
	File  string // "" when off
	State string // "hit", "miss" or "off"
	Why   string // of a miss, of being off, or why nothing could be written
	Bytes int    // of the driver's data, as read or as written last
	Saved bool   // written since the device was opened
}

// The limits on the cache's folder, and on one file. A driver keeps some 10 kB for a pipeline.
const (
	maxCacheFile  = 64 << 20
	maxCacheBytes = 256 << 20
	maxCacheFiles = 64
)

const (
	cacheOff    = "off"
	cacheSuffix = ".pipelines"
	cacheMagic  = "vkinfer pipelines 1\n" // with the format's version
	staleTemp   = time.Hour               // by then whoever wrote a temporary file is gone
)

// pipelineStore is the file that belongs to a device and a driver, with the kernels of this program.
type pipelineStore struct {
	dir  string
	key  [sha256.Size]byte
	held [sha256.Size]byte // of the data that the file holds, as far as known

	mu    sync.Mutex
	stats PipelineCacheStats
}

// PipelineCacheDir returns the folder for compiled pipelines that Options.PipelineCache means; the error says why
// there is none. It need not exist.
func PipelineCacheDir(option string) (string, error) {
	dir := cmp.Or(option, os.Getenv("VKINFER_PIPELINE_CACHE"))
	if strings.EqualFold(dir, cacheOff) {
		return "", errors.New("it is switched off")
	}
	if dir != "" {
		return dir, nil
	}
	base := os.Getenv("VKINFER_CACHE")
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		base = filepath.Join(user, "vkinfer")
	}
	return filepath.Join(base, "pipelines"), nil
}

// allKernels is a hash of every kernel in this program: with other kernels a file is of no use.
var allKernels = sync.OnceValue(func() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, v := range shaders.Variants {
		if k, ok := shaders.Lookup(v.Name); ok {
			fmt.Fprintf(h, "%s %d\n", k.Name, len(k.Code))
			h.Write(k.Code)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
})

// newPipelineStore finds the file's name; nothing is read yet.
func newPipelineStore(option string, p *probed) *pipelineStore {
	dir, err := PipelineCacheDir(option)
	if err != nil {
		return &pipelineStore{stats: PipelineCacheStats{State: cacheOff, Why: err.Error()}}
	}
	h := sha256.New()
	kernels := allKernels()
	fmt.Fprintf(h, "%x %d %d %d %q %q %x", p.cacheUUID, p.vendorID, p.deviceID, p.driverVersion, p.driverName, p.driverInfo, kernels)
	s := &pipelineStore{dir: dir, key: [sha256.Size]byte(h.Sum(nil))}
	s.stats = PipelineCacheStats{File: filepath.Join(dir, fmt.Sprintf("%x%s", s.key[:16], cacheSuffix)), State: "miss"}
	return s
}

// load returns the driver's data, nil on a miss.
func (s *pipelineStore) load(p *probed) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats.State == cacheOff {
		return nil
	}
	data, err := readCache(s.stats.File, s.key, p)
	if err != nil {
		s.stats.Why = err.Error()
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(s.stats.File, now, now) // the oldest go first
	s.stats.State, s.stats.Bytes, s.held = "hit", len(data), sha256.Sum256(data)
	return data
}

// readCache reads a file and checks all that can be checked: its frame (magic, key, length, hash), and the head
// that the specification has every driver begin with.
func readCache(name string, key [sha256.Size]byte, p *probed) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	frame := len(cacheMagic) + 2*sha256.Size + 8
	if !info.Mode().IsRegular() || info.Size() > maxCacheFile+int64(frame) {
		return nil, fmt.Errorf("%s is no file of ours", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCacheFile+int64(frame)+1))
	if err != nil {
		return nil, err
	}
	if len(b) < frame || string(b[:len(cacheMagic)]) != cacheMagic {
		return nil, fmt.Errorf("%s is no file of ours, or cut off", name)
	}
	b = b[len(cacheMagic):]
	sum, n, data := b[sha256.Size:2*sha256.Size], binary.LittleEndian.Uint64(b[2*sha256.Size:]), b[2*sha256.Size+8:]
	switch got := sha256.Sum256(data); {
	case !bytes.Equal(b[:sha256.Size], key[:]):
		return nil, fmt.Errorf("%s is of another driver or program", name)
	case n != uint64(len(data)):
		return nil, fmt.Errorf("%s has %d bytes of data, wanted %d", name, len(data), n)
	case !bytes.Equal(sum, got[:]):
		return nil, fmt.Errorf("%s is damaged", name)
	}
	if why := checkCacheHead(data, p); why != "" {
		return nil, fmt.Errorf("%s: %s", name, why)
	}
	return data, nil
}

// checkCacheHead looks at VkPipelineCacheHeaderVersionOne; "" is fine.
func checkCacheHead(data []byte, p *probed) string {
	const size = 32
	if len(data) < size {
		return "it is too short for a driver's head"
	}
	u := func(i int) uint32 { return binary.LittleEndian.Uint32(data[4*i:]) }
	if u(0) < size || u(1) != 1 || u(2) != p.vendorID || u(3) != p.deviceID || !bytes.Equal(data[16:size], p.cacheUUID[:]) {
		return "its head is of another driver"
	}
	return ""
}

// save keeps the driver's data, unless the file holds the same already.
func (s *pipelineStore) save(data []byte, p *probed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha256.Sum256(data)
	if s.stats.State == cacheOff || sum == s.held || len(data) > maxCacheFile || checkCacheHead(data, p) != "" {
		return
	}
	if err := s.write(data, sum); err != nil {
		s.stats.Why = err.Error()
		return
	}
	s.held, s.stats.Bytes, s.stats.Saved = sum, len(data), true
	s.prune()
}

// write makes the file appear whole or not at all, whatever else writes it or ends this process.
func (s *pipelineStore) write(data []byte, sum [sha256.Size]byte) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	f, err := atomicfile.Replace(s.stats.File, 0o600)
	if err != nil {
		return err
	}
	defer f.Abandon()
	b := append([]byte(cacheMagic), s.key[:]...)
	b = binary.LittleEndian.AppendUint64(append(b, sum[:]...), uint64(len(data)))
	if _, err := f.Write(append(b, data...)); err != nil {
		return err
	}
	return f.Commit()
}

// prune keeps the folder small: the files used longest ago go first, and what killed processes left.
func (s *pipelineStore) prune() {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	var files []os.FileInfo
	var total int64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(e.Name(), cacheSuffix) {
			continue
		}
		if strings.HasPrefix(e.Name(), ".") {
			if time.Since(info.ModTime()) > staleTemp {
				os.Remove(filepath.Join(s.dir, e.Name()))
			}
			continue
		}
		files, total = append(files, info), total+info.Size()
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		if total <= maxCacheBytes && len(files) <= maxCacheFiles || f.Name() == filepath.Base(s.stats.File) {
			continue
		}
		if os.Remove(filepath.Join(s.dir, f.Name())) == nil {
			total, files = total-f.Size(), files[1:]
		}
	}
}

// openPipelineCache makes the device's pipeline cache with what the file holds, or empty.
func (d *Device) openPipelineCache() error {
	d.store = newPipelineStore(d.opts.PipelineCache, &d.probed)
	data := d.store.load(&d.probed)
	err := d.newPipelineCache(data)
	if err == nil || data == nil {
		return err
	}
	d.store.mu.Lock()
	d.store.stats.State, d.store.stats.Why = "miss", "the driver refused it: "+err.Error()
	d.store.held = [sha256.Size]byte{}
	d.store.mu.Unlock()
	return d.newPipelineCache(nil)
}

// savePipelines keeps what the driver has compiled so far, if it gives it out.
func (d *Device) savePipelines() {
	if d.store.Stats().State == cacheOff {
		return
	}
	const name = "vkGetPipelineCacheData"
	var n uint
	if d.call(name, func() vk.Result { return vk.GetPipelineCacheData(d.h, d.cache, &n, nil) }) != nil || n == 0 || n > maxCacheFile {
		return
	}
	data := make([]byte, n)
	var r vk.Result
	err := d.call(name, func() vk.Result {
		r = vk.GetPipelineCacheData(d.h, d.cache, &n, unsafe.Pointer(unsafe.SliceData(data)))
		return r
	})
	if err == nil && r == vk.Success { // not Incomplete: it grew meanwhile, and the next save has all of it
		d.store.save(data[:min(n, uint(len(data)))], &d.probed)
	}
}

// Stats returns what became of the file so far.
func (s *pipelineStore) Stats() PipelineCacheStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// PipelineCache says what became of the pipelines kept on disk.
func (d *Device) PipelineCache() PipelineCacheStats { return d.store.Stats() }
