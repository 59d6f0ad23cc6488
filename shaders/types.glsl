// What lies in memory. Kernels compute in float32; maps are stored in the kernel's dtype, everything else
// (weights, gates, sums, pooled vectors, logits) in float32. The dtype is the end of a kernel's name:
//
//   f32   float32
//   f16   16-bit floats; wants storageBuffer16BitAccess. Results are rounded to nearest even, which the
//         generator (gen.go) writes into the code: the decoration FPRoundingMode that 16-bit stores may have
//   f16p  16-bit floats, packed into words by packHalf2x16, for devices without that feature. How it rounds
//         is the device's business
//
// READ4 and WRITE4 are the element types of buffers that are read and written, four channels each. Reading is
// the same in both 16-bit forms: half of the loads of single values, and unpacking is exact.
#if defined(F16)
#extension GL_EXT_shader_16bit_storage : require
#endif

#if defined(F16) || defined(F16P)
#define READ4 uvec2
#define LOAD4(v) unpack4(v)
vec4 unpack4(uvec2 v) { return vec4(unpackHalf2x16(v.x), unpackHalf2x16(v.y)); }
#else
#define READ4 vec4
#define LOAD4(v) (v)
#endif

#if defined(F16)
#define WRITE4 f16vec4
#define STORE4(v) f16vec4(v)
#elif defined(F16P)
#define WRITE4 uvec2
#define STORE4(v) uvec2(packHalf2x16((v).xy), packHalf2x16((v).zw))
#else
#define WRITE4 vec4
#define STORE4(v) (v)
#endif
