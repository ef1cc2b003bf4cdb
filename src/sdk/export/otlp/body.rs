//! A request in protobuf, put together item by item.
//!
//! A batch as a tree of messages is larger than the spans themselves, and to encode it is to
//! measure each message once for every level above it. So each span is made a message, encoded and
//! let go of before the next, which takes three quarters of the instructions (`scripts/cost`); the
//! bytes are the same. Log records are [framed by the same numbers][proto].
//!
//! [proto]: https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto

use opentelemetry::InstrumentationScope;
use opentelemetry_proto::{
    tonic::{
        resource::v1::Resource,
        trace::v1::{ResourceSpans, ScopeSpans},
    },
    transform::common::tonic::ResourceAttributesWithSchema,
};
use prost::{Message, encode_length_delimiter, length_delimiter_len};

use crate::sdk::export::otlp::encode::Encoded;

/// Field 1 of a request, field 2 of that, and field 2 of that, messages all three: the first byte
/// of each.
const OF_RESOURCE: u8 = 1 << 3 | 2;
const OF_SCOPE: u8 = 2 << 3 | 2;
const ITEMS: u8 = 2 << 3 | 2;

/// The most that a first byte and a length take.
const FRAME: usize = 1 + 10;

/// A request in the making, of what is of one resource.
pub(super) struct Body {
    /// `ResourceSpans.resource` or its like, and what comes after the items.
    resource: Vec<u8>,
    schema: Vec<u8>,
    scopes: Vec<Scope>,
    pub(super) items: u64,
    /// How large it is at most.
    size: usize,
}

/// The items of one scope, one after the other.
struct Scope {
    of: InstrumentationScope,
    /// `ScopeSpans.scope` or its like, and what comes after the items.
    scope: Vec<u8>,
    schema: Vec<u8>,
    items: Vec<u8>,
}

impl Body {
    pub(super) fn new(resource: &ResourceAttributesWithSchema) -> Self {
        let attributes = resource.attributes.0.clone();
        let of_resource = Resource { attributes, ..Resource::default() };
        let schema_url = resource.schema_url.clone().unwrap_or_default();
        // A message is what its parts are, one after the other.
        let resource = ResourceSpans { resource: Some(of_resource), ..ResourceSpans::default() };
        let schema = ResourceSpans { schema_url, ..ResourceSpans::default() };
        let (resource, schema) = (resource.encode_to_vec(), schema.encode_to_vec());
        let size = resource.len() + schema.len() + FRAME;
        Self { resource, schema, scopes: Vec::new(), items: 0, size }
    }

    /// Whether it would be larger than `large` with this, which is so large.
    pub(super) fn is_full(&self, scope: &InstrumentationScope, size: usize, large: usize) -> bool {
        self.items > 0 && self.size + framed(size) + self.room_for(scope) > large
    }

    /// How much larger a scope makes it.
    fn room_for(&self, scope: &InstrumentationScope) -> usize {
        if self.scopes.iter().any(|known| known.of == *scope) {
            return 0;
        }
        Scope::new(scope.clone()).size() + FRAME
    }

    pub(super) fn push(&mut self, scope: &InstrumentationScope, item: &impl Message, size: usize) {
        let at = self.scopes.iter().position(|known| known.of == *scope).unwrap_or_else(|| {
            let scope = Scope::new(scope.clone());
            self.size += scope.size() + FRAME;
            self.scopes.push(scope);
            self.scopes.len() - 1
        });
        let items = &mut self.scopes[at].items;
        items.reserve(framed(size));
        frame(ITEMS, size, items);
        // What `encode` does, but for measuring once more.
        item.encode_raw(items);
        self.size += framed(size);
        self.items += 1;
    }

    /// The whole request.
    pub(super) fn finish(self) -> Encoded {
        let of_scopes: usize = self.scopes.iter().map(|it| framed(it.size())).sum();
        let size = self.resource.len() + of_scopes + self.schema.len();
        let mut body = Vec::with_capacity(framed(size));
        frame(OF_RESOURCE, size, &mut body);
        body.extend(self.resource);
        for scope in self.scopes {
            frame(OF_SCOPE, scope.size(), &mut body);
            body.extend(scope.scope);
            body.extend(scope.items);
            body.extend(scope.schema);
        }
        body.extend(self.schema);
        Encoded { items: self.items, bytes: Ok(body) }
    }
}

impl Scope {
    fn new(of: InstrumentationScope) -> Self {
        let schema_url = of.schema_url().map(ToOwned::to_owned).unwrap_or_default();
        let scope = ScopeSpans { scope: Some((&of, None).into()), ..ScopeSpans::default() };
        let schema = ScopeSpans { schema_url, ..ScopeSpans::default() };
        let (scope, schema) = (scope.encode_to_vec(), schema.encode_to_vec());
        Self { of, scope, schema, items: Vec::new() }
    }

    fn size(&self) -> usize {
        self.scope.len() + self.items.len() + self.schema.len()
    }
}

fn framed(size: usize) -> usize {
    1 + length_delimiter_len(size) + size
}

fn frame(tag: u8, size: usize, to: &mut Vec<u8>) {
    to.push(tag);
    // Room is made where it is lacking, so there is none that it can lack.
    let _ = encode_length_delimiter(size, to);
}
