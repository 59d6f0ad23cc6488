package gpu

import (
	"runtime"
	"testing"
)

// TestDeviceBytesAreCounted: the count that leak tests look at rises and falls with what is allocated.
func TestDeviceBytesAreCounted(t *testing.T) {
	before := deviceBytes.Load()
	d := open(t, Options{})
	b, err := d.newBuffer(1<<20, useDevice)
	if err != nil {
		t.Fatal(err)
	}
	if got := deviceBytes.Load() - before; got < 1<<20 {
		t.Errorf("%d bytes held after an allocation of 1 MiB", got)
	}
	b.free()
	b.free()
	if got := deviceBytes.Load() - before; got != 0 {
		t.Errorf("%d bytes held after freeing", got)
	}
	runtime.KeepAlive(d)
}
