"""Random inspections (双随机): pools, draws that anyone can verify, teams, estimates."""
