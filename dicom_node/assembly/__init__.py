"""Make every part of a node from the settings; `dicom_node.node` starts them."""
