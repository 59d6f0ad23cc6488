// Package conformance compares a Vulkan device with the CPU reference. The verify command and the tests
// both use it.
package conformance
