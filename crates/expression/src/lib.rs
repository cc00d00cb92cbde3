//! DynamoDB expressions: grammar, checks and evaluation.
