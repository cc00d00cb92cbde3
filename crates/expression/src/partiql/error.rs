//! Every way a statement is refused before a table is known.
//!
//! The frame of [`StatementError::Malformed`] and the texts `Expected data manipulation`,
//! `Unexpected keyword` and the one about the number of parameters are the service's as its clients
//! report them; the other texts are ours.

use meridian_model::NumberError;

use crate::error::ExpressionError;

/// Why a statement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The text is not a statement.
    #[error("Statement wasn't well formed, can't be processed: {0}")]
    Malformed(#[from] Malformed),
    /// PartiQL has it, or a client may expect it, and DynamoDB's statements do not.
    #[error("Unsupported in a statement: {0}")]
    Unsupported(String),
    /// There are more or fewer parameters than question marks.
    #[error("Number of parameters in request and statement don't match.")]
    ParameterCount,
    /// The service's frame for a set without members.
    #[error("One or more parameter values were invalid: An string set  may not be empty")]
    EmptySet,
    /// A set names a member twice.
    #[error("One or more parameter values were invalid: Input collection contains duplicates.")]
    DuplicateMember,
    /// A set has members of two types, or of one that no set has.
    #[error(
        "One or more parameter values were invalid: The members of a set must be all strings, all numbers or all binaries"
    )]
    MemberType,
    /// A tuple names an attribute twice.
    #[error("One or more parameter values were invalid: Duplicate attribute name: {0}")]
    DuplicateName(String),
    /// An attribute has no name.
    #[error("Empty attribute name")]
    EmptyName,
    /// Lists and tuples are nested too deep.
    #[error(
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
    )]
    TooDeep,
    /// A number is out of range or too precise.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// A condition or an update is refused as that of a client's expression would be.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
}

/// What is wrong with the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither a statement, nor a clause that changes something.
    #[error("Expected data manipulation")]
    Manipulation,
    /// A keyword stands where a name or a value should.
    #[error("Unexpected keyword")]
    Keyword,
    /// The statement goes on where it should end.
    #[error("Unexpected token after expression")]
    Trailing,
    /// A sign stands where a name or a value should.
    #[error("Unexpected term")]
    Term,
    /// Something else should stand here.
    #[error("Expected {0}")]
    Expected(&'static str),
    /// A character that no statement has.
    #[error("Unexpected character: {0}")]
    Character(char),
    /// A quotation has no end.
    #[error("Unexpected end of a quoted text")]
    Unclosed,
    /// A list index beyond 31 bits or with a fraction.
    #[error("List index is not within the allowable range: [{0}]")]
    Index(String),
    /// Parentheses, `NOT`s or functions are nested too deep.
    #[error("Too many nesting levels")]
    TooDeep,
}
