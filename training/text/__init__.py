"""How the text models are learnt: pre-training, fitting, the linear baseline, evaluation."""
