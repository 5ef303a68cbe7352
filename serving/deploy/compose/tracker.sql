-- MLflow's own database, beside the ledger's. Run once, when the data folder of PostgreSQL is made.
CREATE DATABASE mlflow;
