// What lies in memory. Kernels compute in float32; maps are stored in the kernel's dtype, everything else
// (weights, gates, sums, pooled vectors, logits) in float32. The dtype is the end of a kernel's name:
//
//   f32   float32
//   f16   16-bit floats; wants storageBuffer16BitAccess. Results are rounded to nearest even, which the
//         generator (gen.go) writes into the code: the decoration FPRoundingMode that 16-bit stores may have
//   f16p  16-bit floats, packed into words by packHalf2x16, for devices without that feature. How it rounds
//         is the device's business
//
// What a kernel reads it declares by READS4 (maps, four channels each), READS_FLOAT4, READS_FLOAT or READS_WORD, and reads by
// LOAD4, FLOAT4, FLOAT1 or WORD1. WRITE4 is the element type of maps that it writes. Reading is the same in both 16-bit
// forms: half of the loads of single values, and unpacking is exact.
//
// With TEXEL all of that is read from texel buffers instead of storage buffers, in formats that the executor knows from
// the tensors (netplan.Texel): some drivers for CPUs load from storage buffers lane by lane, with a branch for each value.
#if defined(F16)
#extension GL_EXT_shader_16bit_storage : require
#endif

#if defined(TEXEL)
#define READS4(at, block, name) layout(binding = at) uniform samplerBuffer name
#define READS_FLOAT4(at, block, name) layout(binding = at) uniform samplerBuffer name
#define READS_FLOAT(at, block, name) layout(binding = at) uniform samplerBuffer name
#define READS_WORD(at, block, name) layout(binding = at) uniform usamplerBuffer name
#define LOAD4(name, i) texelFetch(name, int(i))
#define FLOAT4(name, i) texelFetch(name, int(i))
#define FLOAT1(name, i) texelFetch(name, int(i)).x
#define WORD1(name, i) texelFetch(name, int(i)).x
#else
#define READS4(at, block, name) layout(std430, binding = at) readonly buffer block { READ4 name[]; }
#define READS_FLOAT4(at, block, name) layout(std430, binding = at) readonly buffer block { vec4 name[]; }
#define READS_FLOAT(at, block, name) layout(std430, binding = at) readonly buffer block { float name[]; }
#define READS_WORD(at, block, name) layout(std430, binding = at) readonly buffer block { uint name[]; }
#define FLOAT4(name, i) name[i]
#define FLOAT1(name, i) name[i]
#define WORD1(name, i) name[i]
#if defined(F16) || defined(F16P)
#define READ4 uvec2
#define LOAD4(name, i) unpack4(name[i])
vec4 unpack4(uvec2 v) { return vec4(unpackHalf2x16(v.x), unpackHalf2x16(v.y)); }
#else
#define READ4 vec4
#define LOAD4(name, i) name[i]
#endif
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
