"""What the files of an exported graph are called."""

MAIN = {"litert": "model.tflite", "onnx": "model.onnx", "openvino": "model.xml"}
SAVED_MODEL = "saved_model"
GEOMETRY = "geometry.json"
