//! DescribeEndpoints.

use meridian_wire::json::{Array, Object};

use crate::context::RequestContext;

/// How long clients may keep the answer: a day, as the service says.
const CACHE_MINUTES: u64 = 1440;

/// Answers DescribeEndpoints: this node.
pub fn run(context: &RequestContext) -> Vec<u8> {
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut list = Array::open(answer.key("Endpoints"));
    let mut endpoint = Object::open(list.element());
    endpoint.text("Address", &context.endpoint).number("CachePeriodInMinutes", CACHE_MINUTES);
    endpoint.close();
    list.close();
    answer.close();
    out
}
