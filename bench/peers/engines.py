"""The peers: classes that load a network and run a batch.

An engine has run(x): float32 [N,3,H,W] in host memory to float32 logits [N,classes] in host memory; prepare(n) and
forget() around the runs of one batch size; and where transfers cost, resident(x), which returns a function that runs
on x, left on the device, and waits for the result. Loading counts as start: imports are inside __init__.
"""

import contextlib
import os

import numpy as np


class Missing(Exception):
    """The engine cannot run here; the text says why."""


class Engine:
    precision = "float32"
    version = ""
    device = ""

    def prepare(self, n):
        """Called before the first run of a batch size."""

    def forget(self):
        """Called after the last."""

    def resident(self, x):
        return None


class Torch(Engine):
    """PyTorch on the CPU. how: eager, channels-last, frozen (traced, frozen, optimised), compile (channels-last)."""

    def __init__(self, how, a):
        import torch

        if how == "compile" and not hasattr(torch, "compile"):
            raise Missing(f"PyTorch {torch.__version__} has no torch.compile, want 2.0 or later")
        import nets

        torch.set_num_threads(a.threads)
        torch.set_grad_enabled(False)
        self.torch, self.how, self.size = torch, how, a.size
        self.version = f"PyTorch {torch.__version__}, timm {nets.import_timm().__version__}"
        self.device = "cpu"
        self.layout = torch.channels_last if how in ("channels-last", "compile") else torch.contiguous_format
        self.plain = nets.load(a.model, a.weights, exportable=how == "frozen").to(memory_format=self.layout)
        self.net = self.plain

    def prepare(self, n):
        if self.how == "compile":
            self.torch._dynamo.reset()
            self.net = self.torch.compile(self.plain)
        elif self.how == "frozen":
            traced = self.torch.jit.trace(self.plain, self.torch.zeros(n, 3, self.size, self.size))
            self.net = self.torch.jit.optimize_for_inference(self.torch.jit.freeze(traced))

    def run(self, x):
        return self.net(self.torch.from_numpy(x).contiguous(memory_format=self.layout)).numpy()


class TorchCUDA(Engine):
    """PyTorch on CUDA, channels-last. how: eager, graph (eager in a CUDA graph), or a mode of torch.compile."""

    def __init__(self, how, half, a):
        import torch

        if not torch.cuda.is_available():
            raise Missing(f"PyTorch {torch.__version__} sees no CUDA device")
        self.compiled = how not in ("eager", "graph")
        if self.compiled and not hasattr(torch, "compile"):
            raise Missing(f"PyTorch {torch.__version__} has no torch.compile, want 2.0 or later")
        import nets

        torch.set_grad_enabled(False)
        torch.backends.cudnn.benchmark = True
        # float32 is float32: TF32 has 10 bits of mantissa and is another precision.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.torch, self.how, self.size = torch, how, a.size
        self.dtype = torch.float16 if half else torch.float32
        self.precision = "float16" if half else "float32"
        self.version = f"PyTorch {torch.__version__}, timm {nets.import_timm().__version__}"
        self.device = torch.cuda.get_device_name()
        self.plain = nets.load(a.model, a.weights).to("cuda", self.dtype, memory_format=torch.channels_last)
        self.net, self.graph = self.plain, None

    def _on_device(self, x):
        return x.to("cuda", self.dtype).contiguous(memory_format=self.torch.channels_last)

    def prepare(self, n):
        torch = self.torch
        if self.compiled:
            torch._dynamo.reset()
            self.net = torch.compile(self.plain, mode=self.how, dynamic=False)
        if self.how != "graph":
            return
        self.input = self._on_device(torch.zeros(n, 3, self.size, self.size))
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.plain(self.input)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = self.plain(self.input)

    def forget(self):
        self.graph = self.input = self.output = None
        self.torch.cuda.empty_cache()

    def _forward(self, x):
        if self.graph is None:
            return self.net(x)
        if x is not self.input:
            self.input.copy_(x)
        self.graph.replay()
        return self.output

    def run(self, x):
        return self._forward(self._on_device(self.torch.from_numpy(x))).float().cpu().numpy()

    def resident(self, x):
        x = self._on_device(self.torch.from_numpy(x))  # pictures, not zeros: zeros need less power, and run faster
        if self.graph is not None:
            x = self.input.copy_(x)

        def once():
            self._forward(x)
            self.torch.cuda.synchronize()

        return once


class ONNXRuntime(Engine):
    """ONNX Runtime on the CPU, graph optimisations on. The file of each batch size is exported before."""

    def __init__(self, threads, a):
        import onnxruntime

        self.runtime, self.threads, self.artifacts = onnxruntime, threads, a.artifacts
        self.version, self.device = f"ONNX Runtime {onnxruntime.__version__}", "cpu"
        self.session = None  # prepare opens it

    def prepare(self, n):
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        # Threads that spin between two runs would slow the next engine's round.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        file = os.path.join(self.artifacts, f"b{n}.onnx")
        self.session = self.runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def run(self, x):
        return self.session.run(None, {"x": x})[0]


class NCNN(Engine):
    """ncnn, image by image: it has no batches. half: its own 16-bit defaults; otherwise all of them off."""

    def __init__(self, vulkan, half, a):
        import ncnn

        self.ncnn, self.net = ncnn, ncnn.Net()
        self.version, self.device = f"ncnn {ncnn.__version__}", "cpu"
        option = self.net.opt
        option.num_threads, option.use_vulkan_compute = a.threads, vulkan
        if vulkan:
            index = self._find(a.device)
            self.net.set_vulkan_device(index)
            self.device = ncnn.get_gpu_info(index).device_name()
        if half:
            self.precision = "float16"
        else:
            for name in dir(option):
                if name.startswith(("use_fp16", "use_bf16")) and isinstance(getattr(option, name), bool):
                    setattr(option, name, False)
        self.vulkan = vulkan
        base = os.path.join(a.artifacts, "net.ncnn")
        if self.net.load_param(base + ".param") or self.net.load_model(base + ".bin"):
            raise Missing("ncnn could not load what pnnx wrote")

    def _find(self, name):
        count = self.ncnn.get_gpu_count()
        names = [self.ncnn.get_gpu_info(i).device_name() for i in range(count)]
        if name not in names:
            raise Missing(f"ncnn has no Vulkan device {name!r}, it has {names}")
        return names.index(name)

    def run(self, x):
        rows = []
        for image in x:
            with contextlib.closing(_Extractor(self.net)) as extractor:
                extractor.input("in0", self.ncnn.Mat(image))
                status, y = extractor.extract("out0")
            if status:
                raise RuntimeError(f"ncnn: extract returned {status}")
            rows.append(np.array(y))
        return np.stack(rows)


class _Extractor:
    """ncnn's extractor, given up as soon as the image is done, with the memory it holds."""

    def __init__(self, net):
        self.extractor = net.create_extractor()
        self.input, self.extract = self.extractor.input, self.extractor.extract

    def close(self):
        del self.input, self.extract, self.extractor


# The names of peers.py's table.
ENGINES = {
    "torch-eager": lambda a: Torch("eager", a),
    "torch-channels-last": lambda a: Torch("channels-last", a),
    "torch-frozen": lambda a: Torch("frozen", a),
    "torch-compile": lambda a: Torch("compile", a),
    "onnxruntime": lambda a: ONNXRuntime(a.threads, a),
    "onnxruntime-1-thread": lambda a: ONNXRuntime(1, a),
    "ncnn-cpu": lambda a: NCNN(False, False, a),
    "ncnn-vulkan": lambda a: NCNN(True, False, a),
    "ncnn-vulkan-half": lambda a: NCNN(True, True, a),
    "cuda-eager": lambda a: TorchCUDA("eager", True, a),
    "cuda-graph": lambda a: TorchCUDA("graph", True, a),
    "cuda-compile": lambda a: TorchCUDA("default", True, a),
    "cuda-compile-graph": lambda a: TorchCUDA("reduce-overhead", True, a),
    "cuda-compile-max": lambda a: TorchCUDA("max-autotune", True, a),
    "cuda-eager-float32": lambda a: TorchCUDA("eager", False, a),
}
