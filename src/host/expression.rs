//! Several of Envoy's attributes by one hostcall: an expression that Envoy compiles once.
//!
//! Each hostcall that returns data costs about 12,000 instructions, most of them for the way back
//! into the module's allocator. The functions are Envoy's own and no part of the ABI; where they are
//! missing there is no expression, and attributes have to be read one by one.

use super::abi;
use crate::pairs;

/// An expression of Envoy's CEL whose value is a list; it belongs to the root context that made it.
#[derive(Clone, Copy)]
pub(super) struct Expression {
    token: [u8; 4],
}

impl Expression {
    /// Has Envoy compile it; nothing where Envoy cannot. To be called in the root context.
    pub(super) fn compile(text: &str) -> Option<Self> {
        let token = abi::foreign_function("expr_create", text.as_bytes()).ok()?;
        Some(Self { token: token.try_into().ok()? })
    }

    /// Its value for the request whose callback this is, for [`items`]; nothing if any attribute in
    /// it is absent.
    pub(super) fn evaluate(self) -> Option<Vec<u8>> {
        self.value().ok()
    }

    /// Whether its value is null, which is known without a way back into the module.
    pub(super) fn is_null(self) -> bool {
        self.value() == Err(abi::SERIALIZATION_FAILURE)
    }

    fn value(self) -> Result<Vec<u8>, u32> {
        abi::foreign_function("expr_evaluate", &self.token)
    }
}

/// The items of a list, each encoded as the attribute alone would be, and nothing with it.
pub(super) fn items(list: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    pairs::parse(list)
}
