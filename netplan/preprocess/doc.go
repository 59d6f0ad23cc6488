// Package preprocess turns picture bytes into a network's input tensor exactly as the published
// evaluation of these networks does with Pillow and torchvision.
//
//	stage       function                in → out                               needs a GPU
//	preprocess  Transform.Picture       file bytes → HWC uint8 [S,S,3]         no
//	            Transform.Tensor        HWC uint8 → NCHW float32 [3,S,S]       no
//
// The steps, in the order of the evaluation transform:
//
//  1. Decode: the format is recognised by content and the pixels become 8-bit RGB with the meaning of
//     Pillow's convert("RGB"): palettes looked up, alpha dropped and not blended, 16-bit samples scaled
//     to 8, CMYK converted with Pillow's integer formula, EXIF orientation not applied.
//  2. Apply: the shorter side is resized to floor(S/crop_pct) and the longer one in proportion
//     (truncated), with Pillow's antialiased bicubic filter: a = -0.5, 22-bit fixed-point weights, and a
//     rounding to 8 bits between the horizontal and the vertical pass. Then the centre S×S is cut out.
//     Only what the crop keeps is computed, which changes no bit and makes extreme aspect ratios safe; of a JPEG
//     nothing else is even turned into pixels (DecodePart).
//  3. Tensor: (x/255 - mean)/std in float32, channels first.
//
// With Transform.FastDecode large JPEGs are decoded at a half, a quarter or an eighth of their size, as Pillow's draft mode
// does, bit for bit, and resized from there. That is off by default, and not what the evaluation does.
//
// The reference is Pillow 9.4; Pillow 13 decodes the same pixels but resizes tall pictures vertically
// first, which changes some samples by a level. Deliberate differences from both: 16-bit gray is scaled,
// where Pillow clips everything above 255 to white, and damaged entropy-coded data is an error.
//
// The package never looks at a file's name, starts no goroutines, and turns every panic of a decoder
// into an error. Values are safe for concurrent use.
package preprocess
