//! What an operation knows beside its request.

/// Where a request is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The serving region's name; it stands in every ARN.
    pub region: String,
    /// Host and port under which this node is reached: what DescribeEndpoints answers.
    pub endpoint: String,
}
