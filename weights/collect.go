package weights

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// wrapperKeys are the keys a training script may keep the state dict under, in the order in
// which timm's load_state_dict prefers them.
var wrapperKeys = []string{"state_dict_ema", "model_ema", "state_dict", "model"}

// prefixes are what DistributedDataParallel and torch.compile put before every name, in the
// order in which timm strips them.
var prefixes = []string{"module.", "_orig_mod."}

func cleanName(name string) string {
	for _, p := range prefixes {
		name = strings.TrimPrefix(name, p)
	}
	return name
}

// collect finds the state dict in an object graph and reads its tensors.
func collect(root any, r storageReader, b *budget, format string) (*StateDict, error) {
	dict, ok := root.(*pyDict)
	if !ok {
		return nil, badf("holds %s; wanted a state dict: a dict of tensors by name; save it with torch.save(model.state_dict(), …)", describe(root))
	}
	sd := NewStateDict()
	sd.Format = format
	for _, key := range wrapperKeys {
		if d, ok := dict.get(key).(*pyDict); ok {
			dict, sd.Picked = d, key
			break
		}
	}
	for i, name := range dict.names {
		if !utf8.ValidString(name) {
			return nil, badf("the name %s is not UTF-8; the file is damaged", quote(name))
		}
		t, ok := dict.values[i].(*pyTensor)
		if !ok { // an epoch number, a nested dict: no weight
			sd.Skipped = append(sd.Skipped, name)
			continue
		}
		tensor, err := t.materialize(r, b)
		if err != nil {
			return nil, inTensor(err, name)
		}
		sd.Set(cleanName(name), tensor)
	}
	if sd.Len() == 0 {
		return nil, badf("holds %s without a tensor in it; wanted a state dict, by itself or under one of the keys %s", describe(dict), strings.Join(wrapperKeys, ", "))
	}
	return sd, nil
}

// describe says what a value of an object graph is.
func describe(x any) string {
	switch x := x.(type) {
	case *pyDict:
		if len(x.names)+x.others == 0 {
			return "an empty dict"
		}
		if len(x.names) == 0 {
			return fmt.Sprintf("a dict of %d entries, none with a string as key,", x.others)
		}
		shown := slices.Clone(x.names[:min(len(x.names), 8)])
		for i, s := range shown {
			shown[i] = quote(s)
		}
		if len(x.names) > len(shown) {
			shown = append(shown, "…")
		}
		return "a dict with the keys " + strings.Join(shown, ", ")
	case *pyTensor:
		return "a single tensor"
	case *pyStorage:
		return "a storage"
	case *pyOpaque:
		return "an object of class " + x.class.module + "." + x.class.name
	case *pyClass:
		return "the class " + x.module + "." + x.name
	case sequence:
		return "a list or tuple"
	case string:
		return "a string"
	case nil:
		return "None"
	}
	return fmt.Sprintf("a value of type %T", x)
}
