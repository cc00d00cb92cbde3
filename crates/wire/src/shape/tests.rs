//! Tests of `shape`.

use crate::{ApiError, Operation, read_request};

fn refusal(operation: Operation, body: &str) -> String {
    match read_request(operation, body.as_bytes()) {
        Err(ApiError::Validation(text)) => text,
        Err(ApiError::Serialization(text)) => {
            format!("serialization: {}", text.unwrap_or_default())
        }
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn constraints() {
    use Operation::{BatchGetItem, BatchWriteItem, CreateTable, ListTables, PutItem, Query, Scan};
    for (operation, body, text) in [
        (
            PutItem,
            r#"{"Item":{"a":{}}}"#,
            "1 validation error detected: Value null at 'tableName' failed to satisfy constraint: \
             Member must not be null",
        ),
        (
            PutItem,
            r#"{"TableName":"bad table!@#","Item":{}}"#,
            "1 validation error detected: Value 'bad table!@#' at 'tableName' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            PutItem,
            r#"{"TableName":"ab","ReturnValues":"X"}"#,
            "3 validation errors detected: Value 'X' at 'returnValues' failed to satisfy \
             constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, \
             UPDATED_NEW]; Value 'ab' at 'tableName' failed to satisfy constraint: Member must \
             have length greater than or equal to 3; Value null at 'item' failed to satisfy \
             constraint: Member must not be null",
        ),
        (
            PutItem,
            r#"{"TableName":"","Item":{},"ReturnValues":"X"}"#,
            "1 validation error detected: Value at 'TableName' failed to satisfy constraint: \
             Member must have length greater than or equal to 1",
        ),
        (
            Query,
            r#"{"TableName":"abc","Limit":0}"#,
            "1 validation error detected: Value at 'Limit' failed to satisfy constraint: Member \
             must have value greater than or equal to 1",
        ),
        (
            Scan,
            r#"{"TableName":"abc","Limit":0}"#,
            "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: \
             Member must have value greater than or equal to 1",
        ),
        (
            ListTables,
            r#"{"Limit":101,"ExclusiveStartTableName":"a;"}"#,
            "3 validation errors detected: Value 'a;' at 'exclusiveStartTableName' failed to \
             satisfy constraint: Member must satisfy regular expression pattern: \
             [a-zA-Z0-9_.-]+; Value 'a;' at 'exclusiveStartTableName' failed to satisfy \
             constraint: Member must have length greater than or equal to 3; Value '101' at \
             'limit' failed to satisfy constraint: Member must have value less than or equal to \
             100",
        ),
        (
            BatchGetItem,
            r#"{"RequestItems":{}}"#,
            "1 validation error detected: Value at 'RequestItems' failed to satisfy constraint: \
             Member must have length greater than or equal to 1",
        ),
        (
            BatchGetItem,
            r#"{"RequestItems":{"abc":{"Keys":[]}}}"#,
            "1 validation error detected: Value at 'RequestItems.abc.member.Keys' failed to \
             satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            BatchGetItem,
            r#"{"RequestItems":{"bad!name":{"Keys":[{"pk":{"S":"a"}}]}}}"#,
            "1 validation error detected: Value '{\"bad!name\":{\"Keys\":[{\"pk\":{\"S\":\"a\"}}]}}' \
             at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: \
             [Member must have length less than or equal to 255, Member must have length greater \
             than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]",
        ),
        (
            BatchWriteItem,
            r#"{"RequestItems":{"abc":[]}}"#,
            "1 validation error detected: Value '{abc=[]}' at 'requestItems' failed to satisfy \
             constraint: Map value must satisfy constraint: [Member must have length less than or \
             equal to 25, Member must have length greater than or equal to 1]",
        ),
        (
            CreateTable,
            r#"{"TableName":"abc","KeySchema":[{"AttributeName":"a","KeyType":"X"}],
                "AttributeDefinitions":[{"AttributeName":"a"}]}"#,
            "2 validation errors detected: Value null at \
             'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member \
             must not be null; Value 'X' at 'keySchema.1.member.keyType' failed to satisfy \
             constraint: Member must satisfy enum value set: [HASH, RANGE]",
        ),
        (
            CreateTable,
            r#"{"TableName":"abc","AttributeDefinitions":[],"KeySchema":[
                {"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"},
                {"AttributeName":"extra","KeyType":"RANGE"}]}"#,
            "1 validation error detected: Value '[KeySchemaElement(attributeName=pk, \
             keyType=HASH), KeySchemaElement(attributeName=sk, keyType=RANGE), \
             KeySchemaElement(attributeName=extra, keyType=RANGE)]' at 'keySchema' failed to \
             satisfy constraint: Member must have length less than or equal to 2",
        ),
    ] {
        assert_eq!(refusal(operation, body), text, "{body}");
    }
}

#[test]
fn types() {
    use Operation::{BatchGetItem, BatchWriteItem, DescribeTable, GetItem, PutItem, Scan};
    for (operation, body, text) in [
        (DescribeTable, "", ""),
        (DescribeTable, "{", ""),
        (DescribeTable, r#"{"TableName":1,}"#, ""),
        (DescribeTable, r#"{"TableName":1}"#, "NUMBER_VALUE cannot be converted to String"),
        (
            DescribeTable,
            "[]",
            "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.DescribeTableInput",
        ),
        (Scan, r#"{"Limit":"1"}"#, "STRING_VALUE cannot be converted to Integer"),
        (Scan, r#"{"ConsistentRead":"1"}"#, "Unexpected token received from parser"),
        (PutItem, r#"{"Item":"x"}"#, "Unexpected field type"),
        (PutItem, r#"{"Item":{"a":1}}"#, "Unexpected value type in payload"),
        (
            GetItem,
            r#"{"ExpressionAttributeNames":[]}"#,
            "Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>",
        ),
        (BatchGetItem, r#"{"RequestItems":{"abc":1}}"#, "Unexpected value type in payload"),
        (
            BatchWriteItem,
            r#"{"RequestItems":{"abc":1}}"#,
            "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to \
             class java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl \
             and java.lang.Class are in module java.base of loader 'bootstrap')",
        ),
    ] {
        assert_eq!(refusal(operation, body), format!("serialization: {text}"), "{body}");
    }
}

#[test]
fn nulls_and_unknown_members_are_absent() {
    let body = br#"{"TableName":"abc","Key":{"a":{"S":"x"}},"ConsistentRead":null,"Other":[{}]}"#;
    let mut fields = read_request(Operation::GetItem, body).unwrap();
    assert!(!fields.has("ConsistentRead"));
    assert_eq!(fields.take_text("TableName").as_deref(), Some("abc"));
    assert_eq!(fields.present().collect::<Vec<_>>(), ["Key"]);
}

#[test]
fn an_attribute_name_has_an_end() {
    let put = |characters: usize| {
        let name = "a".repeat(characters);
        format!(r#"{{"TableName":"abc","Item":{{"p":{{"S":"x"}},"{name}":{{"N":"1"}}}}}}"#)
    };
    let told = refusal(Operation::PutItem, &put(65_536));
    let end = "[Member must have length less than or equal to 65535]";
    assert!(told.contains("Map keys must satisfy constraint: ") && told.ends_with(end), "{told}");
    assert!(read_request(Operation::PutItem, put(65_535).as_bytes()).is_ok());
}
