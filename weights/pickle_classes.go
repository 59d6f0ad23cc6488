package weights

import "strings"

// classRole says what calling a class from a pickle gives.
type classRole uint8

const (
	roleOpaque        classRole = iota // an inert value that swallows whatever is put into it
	roleDict                           // an ordered map
	roleArgument                       // its first argument (torch.Size)
	roleStorage                        // never called: names the element type of a storage
	roleDType                          // never called: an element type
	roleTensorV1                       // torch._utils._rebuild_tensor and its successors
	roleTensorV2                       //
	roleTensorV3                       //
	roleParameter                      // the tensor in its first argument
	roleFromType                       // calls its first argument, itself on this list, with its third
	roleUnknownTensor                  // a tensor of a kind this package does not read
)

// allowedClass is one row of the allow-list.
type allowedClass struct {
	module, name string
	role         classRole
	dtype        DType // of roleStorage and roleDType; 0 for one this package does not read
}

// plainModule stands for every module in a verified pickle; the name is the index into allowedClasses.
const plainModule = "vkinfer"

// allowedClasses is everything a checkpoint may name. None of it is resolved or run: a row
// only chooses one of the few behaviours above, all of them in this package.
var allowedClasses = makeAllowedClasses()

var allowedIndex = func() map[[2]string]int {
	m := make(map[[2]string]int, len(allowedClasses))
	for i, c := range allowedClasses {
		m[[2]string{c.module, c.name}] = i
	}
	return m
}()

func makeAllowedClasses() []allowedClass {
	list := []allowedClass{
		{"collections", "OrderedDict", roleDict, 0},
		{"collections", "defaultdict", roleDict, 0},
		{"torch", "Size", roleArgument, 0},
		{"torch._utils", "_rebuild_tensor", roleTensorV1, 0},
		{"torch._utils", "_rebuild_tensor_v2", roleTensorV2, 0},
		{"torch._utils", "_rebuild_tensor_v3", roleTensorV3, 0},
		{"torch._utils", "_rebuild_parameter", roleParameter, 0},
		{"torch._utils", "_rebuild_parameter_with_state", roleParameter, 0},
		{"torch._tensor", "_rebuild_from_type_v2", roleFromType, 0},
		{"torch._utils", "_rebuild_qtensor", roleUnknownTensor, 0},
		{"torch._utils", "_rebuild_sparse_tensor", roleUnknownTensor, 0},
		{"torch._utils", "_rebuild_meta_tensor_no_storage", roleUnknownTensor, 0},
	}
	add := func(role classRole, dtype DType, module string, names ...string) {
		for _, name := range names {
			list = append(list, allowedClass{module, name, role, dtype})
		}
	}
	for _, m := range []string{"builtins", "__builtin__"} {
		add(roleDict, 0, m, "dict")
		add(roleOpaque, 0, m, "bool", "bytearray", "bytes", "complex", "float", "frozenset", "int", "list",
			"long", "object", "range", "set", "slice", "str", "tuple", "unicode", "xrange")
	}
	for module, rows := range map[string][]struct {
		name  string
		dtype DType
	}{
		"torch": {
			{"FloatStorage", Float32}, {"DoubleStorage", Float64}, {"HalfStorage", Float16}, {"BFloat16Storage", BFloat16},
			{"LongStorage", Int64}, {"IntStorage", Int32}, {"ShortStorage", Int16}, {"CharStorage", Int8},
			{"ByteStorage", Uint8}, {"BoolStorage", Bool}, {"UntypedStorage", Uint8},
			{"ComplexFloatStorage", 0}, {"ComplexDoubleStorage", 0}, {"QInt8Storage", 0}, {"QUInt8Storage", 0},
			{"QInt32Storage", 0}, {"QUInt4x2Storage", 0}, {"QUInt2x4Storage", 0},
		},
		"torch.storage": {{"UntypedStorage", Uint8}, {"_UntypedStorage", Uint8}},
	} {
		for _, r := range rows {
			add(roleStorage, r.dtype, module, r.name)
		}
	}
	for d := Float32; d <= Bool; d++ {
		add(roleDType, d, "torch", d.String())
	}
	add(roleDType, 0, "torch", "complex64", "complex128", "uint16", "uint32", "uint64", "float8_e4m3fn",
		"float8_e5m2", "qint8", "quint8", "qint32")
	add(roleOpaque, 0, "torch", "device", "Tensor", "Generator", "contiguous_format", "channels_last", "preserve_format",
		"strided", "sparse_coo", "per_tensor_affine", "per_channel_affine", "per_tensor_symmetric", "per_channel_symmetric")
	add(roleOpaque, 0, "torch.nn.parameter", "Parameter", "Buffer")
	add(roleOpaque, 0, "torch.serialization", "_get_layout")
	add(roleOpaque, 0, "argparse", "Namespace")
	add(roleOpaque, 0, "collections", "Counter", "deque")
	for _, m := range []string{"copy_reg", "copyreg"} {
		add(roleOpaque, 0, m, "_reconstructor")
	}
	add(roleOpaque, 0, "_codecs", "encode")
	for _, m := range []string{"numpy.core.multiarray", "numpy._core.multiarray"} {
		add(roleOpaque, 0, m, "scalar", "_reconstruct")
	}
	for _, m := range []string{"numpy.core.numeric", "numpy._core.numeric"} {
		add(roleOpaque, 0, m, "_frombuffer")
	}
	add(roleOpaque, 0, "numpy", "dtype", "ndarray", "float64", "float32", "int64", "bool_")
	add(roleOpaque, 0, "pathlib", "Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
	add(roleOpaque, 0, "pathlib._local", "PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
	add(roleOpaque, 0, "datetime", "date", "datetime", "time", "timedelta", "timezone")
	add(roleOpaque, 0, "decimal", "Decimal")
	add(roleOpaque, 0, "fractions", "Fraction")
	add(roleOpaque, 0, "uuid", "UUID")
	add(roleOpaque, 0, "types", "SimpleNamespace")
	// Settings that training scripts keep beside the weights.
	add(roleOpaque, 0, "yacs.config", "CfgNode")
	add(roleOpaque, 0, "easydict", "EasyDict")
	add(roleOpaque, 0, "pytorch_lightning.utilities.parsing", "AttributeDict")
	return list
}

// forbiddenClass is the error for a class outside the allow-list.
func forbiddenClass(module, name string) error {
	class := quote(module + "." + name)
	for _, p := range []string{"torch.nn.modules", "timm.", "torchvision.", "efficientnet_pytorch", "__torch__", "geffnet"} {
		if strings.HasPrefix(module, p) {
			return unsupportedf("names the class %s: a whole pickled model, not a state dict; nothing of it was run; load it where it was made and save it again with torch.save(model.state_dict(), …)", class)
		}
	}
	return unsupportedf("names the class %s, which is not on the list of classes a checkpoint may hold; nothing of it was run; do not load this file elsewhere unless you trust it; if you do, save its state dict alone with torch.save(model.state_dict(), …)", class)
}
