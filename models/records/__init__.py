"""Records of credit subjects: their contracts, the gate that checks them, the lake of them."""
