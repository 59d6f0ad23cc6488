package gpu

import "fmt"

// Message is what the validation layer or the driver had to say.
type Message struct {
	Error bool   // otherwise a warning
	Kind  string // "validation", "performance" or "general"
	ID    string // such as "SYNC-HAZARD-READ-AFTER-WRITE" or "VUID-vkCmdDispatch-None-08114"
	Text  string
}

func (m Message) String() string {
	severity := "warning"
	if m.Error {
		severity = "error"
	}
	return fmt.Sprintf("%s %s [%s] %s", m.Kind, severity, m.ID, m.Text)
}

// messageKind reads VkDebugUtilsMessageTypeFlagsEXT.
func messageKind(types uint32) string {
	switch {
	case types&2 != 0:
		return "validation"
	case types&4 != 0:
		return "performance"
	}
	return "general"
}
