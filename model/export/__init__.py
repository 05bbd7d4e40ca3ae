"""Export of the network to files for other programs: ONNX and OpenVINO."""
