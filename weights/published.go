package weights

// releaseURL is where timm's first release of these weights lies.
const releaseURL = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-tresnet/"

// Published lists the known weight files of each network, the one that Fetch can get first. The
// eight hex digits in a name are the first of the file's sha256. The files of the original model
// card come last, without an address: their host has moved, but copies are about.
// The map must not be modified.
var Published = map[string][]Source{
	"efficientnet_b1_pruned": {
		release("effnetb1_pruned-bea43a3a.pth", "bea43a3a"),
		{Name: "effnetb1_pruned_9ebb3fe6.pth", SHA256Prefix: "9ebb3fe6", Size: 25_595_162},
	},
	"efficientnet_b2_pruned": {
		release("effnetb2_pruned-08c1b27c.pth", "08c1b27c"),
		{Name: "effnetb2_pruned_203f55bc.pth", SHA256Prefix: "203f55bc", Size: 33_555_005},
	},
	"efficientnet_b3_pruned": {
		release("effnetb3_pruned-59ecf72d.pth", "59ecf72d"),
		{Name: "effnetb3_pruned_5abcc29f.pth", SHA256Prefix: "5abcc29f", Size: 39_770_812},
	},
}

func release(name, prefix string) Source {
	return Source{Name: name, URLs: []string{releaseURL + name}, SHA256Prefix: prefix}
}
