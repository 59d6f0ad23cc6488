package netplan

// Caps is all a planner may know of a device. It is plain data: package gpu fills it from the driver,
// tests read profiles of real devices from testdata. Planners never ask for vendor names; a device
// that misbehaves gets its Caps edited (gpu/quirks.go).
type Caps struct {
	Name          string `json:"name"`
	Type          string `json:"type"` // "discrete", "integrated", "virtual", "cpu", "other"
	VendorID      uint32 `json:"vendor_id"`
	DeviceID      uint32 `json:"device_id"`
	DriverName    string `json:"driver_name"` // VkPhysicalDeviceDriverProperties.driverName, "" where unknown
	DriverInfo    string `json:"driver_info"`
	DriverVersion uint32 `json:"driver_version"`
	APIVersion    uint32 `json:"api_version"` // Vulkan's packed form

	MaxWorkgroupInvocations int    `json:"max_workgroup_invocations"`
	MaxWorkgroupSize        [3]int `json:"max_workgroup_size"`
	MaxWorkgroupCount       [3]int `json:"max_workgroup_count"`
	MaxSharedMemory         int    `json:"max_shared_memory"` // bytes
	MaxPushConstants        int    `json:"max_push_constants"`
	MaxBoundDescriptorSets  int    `json:"max_bound_descriptor_sets"`
	MaxStorageBufferRange   int64  `json:"max_storage_buffer_range"`        // bytes one descriptor may cover
	StorageBufferAlignment  int    `json:"storage_buffer_offset_alignment"` // bytes
	MaxAllocation           int64  `json:"max_allocation"`                  // bytes of one device memory allocation

	// MaxLoopIterations bounds the iterations of all loops of an invocation together; 0 is no bound. No
	// driver states it: rows of the quirk table do.
	MaxLoopIterations int `json:"max_loop_iterations,omitempty"`

	// TexelReads says that reading from texel buffers is much faster than from storage buffers. No driver states it
	// either.
	TexelReads       bool  `json:"texel_reads,omitempty"`
	MaxTexelElements int64 `json:"max_texel_elements"` // of one texel buffer

	SubgroupSize    int     `json:"subgroup_size"`
	SubgroupBasic   bool    `json:"subgroup_basic"`
	SubgroupShuffle bool    `json:"subgroup_shuffle"`
	Float16         bool    `json:"float16"`      // shaderFloat16
	Storage16       bool    `json:"storage16"`    // storageBuffer16BitAccess
	HostVisible     bool    `json:"host_visible"` // device-local memory is host visible: no staging needed
	TimestampBits   int     `json:"timestamp_bits"`
	TimestampNs     float64 `json:"timestamp_ns"` // nanoseconds per tick
}

// MinimalCaps is what every Vulkan 1.0 device promises (the specification's required limits); plans made
// for it run everywhere. It is the default of commands that plan without a device.
func MinimalCaps() Caps {
	return Caps{
		Name: "minimal Vulkan 1.0", Type: "other",
		MaxWorkgroupInvocations: 128, MaxWorkgroupSize: [3]int{128, 128, 64}, MaxWorkgroupCount: [3]int{65535, 65535, 65535},
		MaxSharedMemory: 16384, MaxPushConstants: 128, MaxBoundDescriptorSets: 4,
		MaxStorageBufferRange: 128 << 20, MaxTexelElements: 65536, StorageBufferAlignment: 256, MaxAllocation: 1 << 30,
	}
}
