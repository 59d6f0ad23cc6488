package gpu

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	vk "github.com/vulkan-go/vulkan"
)

// messagesWith returns the messages that contain text.
func messagesWith(list []Message, text string) (found []Message) {
	for _, m := range list {
		if strings.Contains(m.ID+" "+m.Text, text) {
			found = append(found, m)
		}
	}
	return found
}

// TestMissingBarrierIsReported proves that synchronization validation is on: a plan without its barrier
// must be reported, and nothing else.
func TestMissingBarrierIsReported(t *testing.T) {
	needValidation(t)
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			d := openLoud(t, opts)
			defer d.Close()
			p := testPlan(testShape)
			mustRun(t, testExecutor(t, d, p, ExecutorOptions{}), testInput(testShape, 2, 1), 2)
			if list := d.Messages(); len(list) > 0 {
				t.Fatalf("the plan with its barrier is reported: %v", list)
			}
			p.Dispatches[1].Barrier = false
			mustRun(t, testExecutor(t, d, p, ExecutorOptions{}), testInput(testShape, 2, 1), 2)
			list := d.Messages()
			found := messagesWith(list, "SYNC-HAZARD-READ-AFTER-WRITE")
			if len(found) == 0 || len(found) != len(list) || !found[0].Error || found[0].Kind != "validation" {
				t.Errorf("a missing barrier gave %v; want read-after-write hazards alone", list)
			}
			if again := d.Messages(); again != nil {
				t.Errorf("messages came twice: %v", again)
			}
		})
	}
}

// TestWriteAfterReadIsReported: the second batch of dispatches overwrites what the first still reads.
func TestWriteAfterReadIsReported(t *testing.T) {
	needValidation(t)
	d := openLoud(t, Options{})
	defer d.Close()
	p := testPlan(testShape)
	again := slices.Clone(p.Dispatches)
	again[0].Barrier = false
	p.Dispatches = append(p.Dispatches, again...)
	mustRun(t, testExecutor(t, d, p, ExecutorOptions{}), testInput(testShape, 1, 1), 1)
	if list := d.Messages(); len(messagesWith(list, "SYNC-HAZARD-WRITE-AFTER-READ")) == 0 {
		t.Errorf("got %v, want a write-after-read hazard", list)
	}
}

// TestCoreValidationIsOn makes two mistakes that only core validation sees: a fence that is never
// destroyed, reported while the device closes, and a flush of half an atom.
func TestCoreValidationIsOn(t *testing.T) {
	needValidation(t)
	d := openLoud(t, Options{})
	b, err := d.newBuffer(4096, useUpload)
	if err != nil {
		t.Fatal(err)
	}
	_ = shimFlush(d.dev, handleOf(b.mem), 1, 3)
	if d.probed.atom > 1 {
		if list := d.Messages(); len(messagesWith(list, "VUID-VkMappedMemoryRange-offset-00687")) == 0 {
			t.Errorf("a flush of half an atom gave %v", list)
		}
	}
	b.free()
	info := vk.FenceCreateInfo{SType: vk.StructureTypeFenceCreateInfo}
	var f vk.Fence
	if r := vk.CreateFence(d.h, &info, nil, &f); r != vk.Success {
		t.Fatal(r)
	}
	info.Free()
	d.Close()
	list := d.Messages()
	if len(list) != 1 || len(messagesWith(list, "VkFence")) != 1 {
		t.Errorf("a leaked fence gave %v, want one message that names it", list)
	}
}

func TestMessagesAreCapped(t *testing.T) {
	needValidation(t)
	d := openLoud(t, Options{})
	defer d.Close()
	b, err := d.newBuffer(64, useUpload)
	if err != nil {
		t.Fatal(err)
	}
	defer b.free()
	if d.probed.atom <= 1 {
		t.Skip("this device's atom is one byte")
	}
	for i := range 3000 {
		_ = shimFlush(d.dev, handleOf(b.mem), int64(1+i), 3)
	}
	list := d.Messages()
	if len(list) < 1000 { // newer layers stop repeating themselves
		t.Skipf("the layer sent %d messages only", len(list))
	}
	if len(list) != 1001 || !strings.Contains(list[1000].Text, "more messages were dropped") {
		t.Errorf("%d messages were kept, the last is %v; want 1000 and a count of the others", len(list), list[len(list)-1])
	}
}

// TestNoMessagesWithoutValidation: without the layer there is nobody to complain.
func TestNoMessagesWithoutValidation(t *testing.T) {
	if os.Getenv("VKINFER_VALIDATION") == "1" {
		t.Skip("VKINFER_VALIDATION=1 switches validation on everywhere")
	}
	d, err := Open(Options{Device: os.Getenv("VKINFER_DEVICE")})
	skipWithoutDevice(t, err)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := testPlan(testShape)
	p.Dispatches[1].Barrier = false
	mustRun(t, testExecutor(t, d, p, ExecutorOptions{}), testInput(testShape, 1, 1), 1)
	if list := d.Messages(); list != nil {
		t.Errorf("got %v", list)
	}
}

// TestValidationByEnvironment: VKINFER_VALIDATION=1 acts as the option does.
func TestValidationByEnvironment(t *testing.T) {
	needValidation(t)
	t.Setenv("VKINFER_VALIDATION", "1")
	d, err := Open(Options{Device: os.Getenv("VKINFER_DEVICE")})
	skipWithoutDevice(t, err)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !d.opts.Validation {
		t.Errorf("validation is off")
	}
}

// TestMissingLayer hides the layer from the loader, in a process of its own.
func TestMissingLayer(t *testing.T) {
	if !child(t) {
		needValidation(t)
	}
	inSubprocess(t, []string{"VK_LAYER_PATH=" + t.TempDir(), "VK_ADD_LAYER_PATH=", "VKINFER_VALIDATION="}, func() error {
		_, err := Open(Options{Validation: true})
		if !errors.Is(err, ErrFeature) || !strings.Contains(err.Error(), "apt install vulkan-validationlayers") {
			return errors.New("got " + errString(err) + "; want ErrFeature that names the package")
		}
		return nil
	})
}
