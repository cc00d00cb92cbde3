//! ImportTable.
//!
//! What is wrong with the bucket, or in it, is told by the import, not by this answer. The table's
//! name is not reserved: of two imports into one name the second fails.
//!
//! Tested by `imports.txt` and `tests/jobs.rs`.

use meridian_control::region::{ImportCompression, ImportFormat, ImportRequest};
use meridian_wire::json::{Array, Object, number, string};
use meridian_wire::{ApiError, Fields, Node, Operation};

use super::create_table;
use crate::backend::Backend;
use crate::context::RequestContext;
use crate::errors::invalid;
use crate::jobs::take_place;
use crate::{imports, tables, unbuilt};

/// The constraint of a delimiter, as the service tells it.
const DELIMITERS: &str = ",;:|\t ";

/// Answers ImportTable.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let source = fields.take_fields("S3BucketSource");
    let mut source = source.expect("S3BucketSource is required by the constraints");
    let from = take_place(&mut source, "S3KeyPrefix", "s3BucketSource.s3Bucket")?;
    let format = format(&mut fields)?;
    let compression = match fields.take_text("InputCompressionType").as_deref() {
        Some("GZIP") => ImportCompression::Gzip,
        Some("ZSTD") => ImportCompression::Zstd,
        Some(_) | None => ImportCompression::None,
    };
    let stated = fields.take_fields("TableCreationParameters");
    let stated = stated.expect("TableCreationParameters is required by the constraints");
    unbuilt::parameters(&stated, &["VectorIndexes"])?;
    let mut parameters = Vec::new();
    echo(&mut parameters, &Node::Fields(stated.clone()));
    let mut stated = stated.moved_to(Operation::CreateTable);
    let table_name = tables::take_name(&mut stated);
    let definition = Box::new(create_table::definition(&mut stated)?);
    let request = ImportRequest {
        token: fields.take_text("ClientToken"),
        from,
        format,
        compression,
        table_name: table_name.clone(),
        definition,
        parameters: String::from_utf8_lossy(&parameters).into_owned(),
    };
    let begun = backend.begin_import(request).await;
    let import = begun.map_err(|error| imports::refused(error, &table_name))?;
    Ok(imports::describe(context, &import))
}

fn format(fields: &mut Fields) -> Result<ImportFormat, ApiError> {
    let name = fields.take_text("InputFormat").unwrap_or_default();
    let csv = fields.take_fields("InputFormatOptions").map(|mut one| one.take_fields("Csv"));
    let csv = csv.flatten();
    match name.as_str() {
        "ION" => Err(invalid(
            "The input format ION is not supported by this server: DYNAMODB_JSON and CSV are.",
        )),
        "CSV" => {
            let Some(mut csv) = csv else {
                return Ok(ImportFormat::Csv { delimiter: None, header: None });
            };
            let delimiter = csv.take_text("Delimiter").map(|text| delimiter(&text)).transpose()?;
            let header = csv.take_list("HeaderList");
            let header = header.map(|list| list.into_iter().map(Node::into_text).collect());
            Ok(ImportFormat::Csv { delimiter, header })
        }
        _ if csv.is_some() => Err(invalid(format!(
            "Invalid Request: Unsupported InputFormatOptions for the given input format: {name}."
        ))),
        _ => Ok(ImportFormat::DynamoDbJson),
    }
}

fn delimiter(text: &str) -> Result<char, ApiError> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) if DELIMITERS.contains(one) => Ok(one),
        _ => Err(ApiError::Validation(format!(
            "1 validation error detected: Value '{text}' at 'inputFormatOptions.csv.delimiter' \
             failed to satisfy constraint: Member must satisfy regular expression pattern: \
             [{DELIMITERS}]"
        ))),
    }
}

/// Writes a part of the request as it was stated.
fn echo(out: &mut Vec<u8>, node: &Node) {
    match node {
        Node::Text(text) => string(out, text),
        Node::Number(value) => match u64::try_from(*value) {
            Ok(value) => number(out, value),
            Err(_) => out.extend_from_slice(value.to_string().as_bytes()),
        },
        Node::Flag(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Node::List(list) => {
            let mut array = Array::open(out);
            list.iter().for_each(|one| echo(array.element(), one));
            array.close();
        }
        Node::Fields(fields) => {
            let mut object = Object::open(out);
            for name in fields.present() {
                if let Some(value) = fields.get(name) {
                    echo(object.key(name), value);
                }
            }
            object.close();
        }
        // No table is made of these.
        Node::Decimal(_) | Node::Bytes(_) | Node::Map(_) | Node::Value(_) | Node::Item(_) => {
            out.extend_from_slice(b"null");
        }
    }
}
