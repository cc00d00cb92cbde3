//! Every way an expression is refused, with DynamoDB's message.
//!
//! All of these answer a request with `ValidationException`; nobody branches on more than that, the
//! variants exist so that each text stands in one table. Texts are the service's, as its clients
//! report them; [`Problem::TooDeep`] alone is ours.

use meridian_model::{KeyError, NumberError};

/// Which parameter of a request an expression came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpressionKind {
    /// `ConditionExpression`.
    Condition,
    /// `FilterExpression`.
    Filter,
    /// `KeyConditionExpression`.
    KeyCondition,
    /// `ProjectionExpression`.
    Projection,
    /// `UpdateExpression`.
    Update,
}

impl ExpressionKind {
    /// The parameter's name.
    pub fn name(self) -> &'static str {
        match self {
            ExpressionKind::Condition => "ConditionExpression",
            ExpressionKind::Filter => "FilterExpression",
            ExpressionKind::KeyCondition => "KeyConditionExpression",
            ExpressionKind::Projection => "ProjectionExpression",
            ExpressionKind::Update => "UpdateExpression",
        }
    }
}

impl std::fmt::Display for ExpressionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an expression, its placeholders or its evaluation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The text of one expression is wrong.
    #[error("Invalid {kind}: {problem}")]
    Invalid {
        /// The parameter.
        kind: ExpressionKind,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The placeholders are wrong.
    #[error(transparent)]
    Placeholders(#[from] PlaceholderError),
    /// The key condition does not fit the key schema.
    #[error(transparent)]
    KeyCondition(#[from] KeyConditionError),
    /// An expression uses key attributes in a way that keys do not allow.
    #[error(transparent)]
    KeyUse(#[from] KeyUseError),
    /// A key value is empty or too long.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The update does not fit the item.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// Arithmetic left the range of numbers.
    #[error(transparent)]
    Number(#[from] NumberError),
}

/// What is wrong with the text of one expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text is empty.
    #[error("The expression can not be empty;")]
    Empty,
    /// The text is longer than 4 KB.
    #[error("Expression size has exceeded the maximum allowed size; expression size: {0}")]
    TooLong(usize),
    /// A token stands where the grammar has none.
    #[error("Syntax error; token: \"{token}\", near: \"{near}\"")]
    Syntax {
        /// The token.
        token: String,
        /// The text from the token before to the token after.
        near: String,
    },
    /// Two pairs of parentheses around the same thing.
    #[error("The expression has redundant parentheses;")]
    RedundantParentheses,
    /// More than 300 operators and functions. The service always says 301.
    #[error("The expression contains too many operators; operator count: 301")]
    TooManyOperators,
    /// Nesting beyond what the parser follows; DynamoDB's own bound is not published.
    #[error("The expression has too many nesting levels; nesting levels: {0}")]
    TooDeep(usize),
    /// A document path of more than 32 steps.
    #[error("The document path has too many nesting levels; nesting levels: {0}")]
    PathTooDeep(usize),
    /// A list index beyond 31 bits.
    #[error("List index is not within the allowable range; index: [{0}]")]
    IndexOutOfRange(String),
    /// An unescaped attribute name is a reserved word.
    #[error("Attribute name is a reserved keyword; reserved keyword: {0}")]
    Reserved(String),
    /// No such function.
    #[error("Invalid function name; function: {0}")]
    UnknownFunction(String),
    /// A function of updates in a condition.
    #[error("The function is not allowed in a condition expression; function: {0}")]
    NotInCondition(String),
    /// A function of conditions in an update.
    #[error("The function is not allowed in an update expression; function: {0}")]
    NotInUpdate(String),
    /// A condition where a value is needed, or the other way round.
    #[error("The function is not allowed to be used this way in an expression; function: {0}")]
    MisusedFunction(String),
    /// A section of an update stands twice.
    #[error("The \"{0}\" section can only be used once in an update expression;")]
    RepeatedSection(&'static str),
    /// A `#` placeholder is not defined.
    #[error(
        "An expression attribute name used in the document path is not defined; attribute name: {0}"
    )]
    UndefinedName(String),
    /// A `:` placeholder is not defined.
    #[error(
        "An expression attribute value used in expression is not defined; attribute value: {0}"
    )]
    UndefinedValue(String),
    /// A function has too few or too many operands.
    #[error(
        "Incorrect number of operands for operator or function; operator or function: {function}, number of operands: {count}"
    )]
    OperandCount {
        /// The function.
        function: String,
        /// How many it was given.
        count: usize,
    },
    /// An operand must be a document path.
    #[error("Operator or function requires a document path; operator or function: {0}")]
    PathRequired(&'static str),
    /// The first operand stands again among the others.
    #[error(
        "The first operand must be distinct from the remaining operands for this operator or function; operator: {operator}, first operand: {operand}"
    )]
    NotDistinct {
        /// The operator or function.
        operator: &'static str,
        /// The path, printed as a list of its steps.
        operand: String,
    },
    /// A value's type does not fit the operator.
    #[error(
        "Incorrect operand type for operator or function; operator or function: {operator}, operand type: {operand}"
    )]
    OperandType {
        /// The operator or function.
        operator: &'static str,
        /// The type, or the set of types where it is not known.
        operand: &'static str,
    },
    /// The value of `ADD` or `DELETE` has a type that it does not take.
    #[error(
        "Incorrect operand type for operator or function; operator: {operator}, operand type: {operand}, typeSet: ALLOWED_FOR_{operator}_OPERAND"
    )]
    SectionOperandType {
        /// `ADD` or `DELETE`.
        operator: &'static str,
        /// The type in words.
        operand: &'static str,
    },
    /// The second operand of `attribute_type` names no type.
    #[error(
        "Invalid attribute type name found; type: {0}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}"
    )]
    UnknownType(String),
    /// The bounds of `BETWEEN` have two types.
    #[error(
        "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: {low}, upper bound operand: {high}"
    )]
    BoundTypes {
        /// The lower bound.
        low: String,
        /// The upper bound.
        high: String,
    },
    /// The bounds of `BETWEEN` are the wrong way round.
    #[error(
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: {low}, upper bound operand: {high}"
    )]
    BoundOrder {
        /// The lower bound.
        low: String,
        /// The upper bound.
        high: String,
    },
    /// `IN` has more than 100 operands.
    #[error("The IN operator is provided with too many operands; number of operands: {0}")]
    TooManyInOperands(usize),
    /// One path is another or lies within it.
    #[error(
        "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: {one}, path two: {two}"
    )]
    Overlap {
        /// The path written first.
        one: String,
        /// The path written second.
        two: String,
    },
    /// One path treats as a list what another treats as a map.
    #[error(
        "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: {one}, path two: {two}"
    )]
    Conflict {
        /// The path written first.
        one: String,
        /// The path written second.
        two: String,
    },
}

/// Why ExpressionAttributeNames or ExpressionAttributeValues are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceholderError {
    /// The map is there but empty.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// A key is not `#` or `:` and letters, digits or underscores.
    #[error("{map} contains invalid key: Syntax error; key: \"{key}\"")]
    BadKey {
        /// The parameter.
        map: &'static str,
        /// The key.
        key: String,
    },
    /// A key is longer than 255 bytes.
    #[error(
        "{map} contains invalid key: The expression attribute map contains a key that is too long; size of key: {size}"
    )]
    KeyTooLong {
        /// The parameter.
        map: &'static str,
        /// The key's length, bytes.
        size: usize,
    },
    /// A name placeholder stands for the empty name.
    #[error("ExpressionAttributeNames contains invalid value: Empty attribute name for key {0}")]
    EmptyName(String),
    /// Placeholders that no expression of the request uses.
    #[error("Value provided in {map} unused in expressions: keys: {{{}}}", .keys.join(", "))]
    Unused {
        /// The parameter.
        map: &'static str,
        /// The unused keys.
        keys: Vec<String>,
    },
}

/// Why a key condition is refused, beyond what any condition may be refused for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyConditionError {
    /// An operator that key conditions do not have.
    #[error("Invalid operator used in KeyConditionExpression: {0}")]
    Operator(&'static str),
    /// A function within an operand.
    #[error("KeyConditionExpressions cannot contain nested operations")]
    NestedOperation,
    /// A path of more than one step.
    #[error("KeyConditionExpressions cannot have conditions on nested attributes")]
    NestedAttribute,
    /// `BETWEEN` or `begins_with` does not start with the attribute.
    #[error(
        "Invalid condition in KeyConditionExpression: {0} operator must have the key attribute as its first operand"
    )]
    AttributeNotFirst(&'static str),
    /// Two attributes in one comparison.
    #[error(
        "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
    )]
    TwoAttributes,
    /// No attribute in a comparison.
    #[error("Invalid condition in KeyConditionExpression: No key attribute specified")]
    NoAttribute,
    /// Two conditions on one attribute.
    #[error("KeyConditionExpressions must only contain one condition per key")]
    TwoPerKey,
    /// More than two conditions.
    #[error("Conditions can be of length 1 or 2 only")]
    TooMany,
    /// A key attribute has no condition where it must.
    #[error("Query condition missed key schema element: {0}")]
    Missed(String),
    /// A condition that the key schema does not support.
    #[error("Query key condition not supported")]
    Unsupported,
    /// A value of another type than the key attribute.
    #[error(
        "One or more parameter values were invalid: Condition parameter type does not match schema type"
    )]
    Type,
}

/// Why an expression may not use a key attribute so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyUseError {
    /// An update writes a key attribute.
    #[error(
        "One or more parameter values were invalid: Cannot update attribute {0}. This attribute is part of the key"
    )]
    Updated(String),
    /// A path looks inside a key attribute.
    #[error(
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: {0}"
    )]
    Nested(String),
    /// A Query's filter tests a key attribute.
    #[error(
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: {0}"
    )]
    Filtered(String),
}

/// Why an update does not fit the item that it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The parent of a path is missing or of the wrong type.
    #[error("The document path provided in the update expression is invalid for update")]
    InvalidPath,
    /// A value is read from an attribute that is not there.
    #[error("The provided expression refers to an attribute that does not exist in the item")]
    MissingAttribute,
    /// A value read from the item has the wrong type.
    #[error("An operand in the update expression has an incorrect data type")]
    OperandType,
    /// The item would nest deeper than 32 levels.
    #[error(
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
    )]
    TooDeep,
}
