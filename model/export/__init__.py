"""The network as a file for other programs: ONNX and OpenVINO."""
