//! DynamoDB JSON, error bodies and request signatures.
