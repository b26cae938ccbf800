//! Closed enums of names that are sent over the network. Each variant has one spelling; names from a newer version or from
//! another server are kept in `Other`.

/// Longest unknown name that is kept, in bytes. No defined name is nearly as long.
pub(crate) const MAX_OTHER: usize = 128;

/// Defines an enum whose variants are names on the wire, with `Other` for every unknown name.
macro_rules! named {
    ($(#[$about:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $enum {
            $($(#[$doc])* $variant,)+
            /// A name that this version does not know.
            Other(Box<str>),
        }

        impl $enum {
            /// Every known name.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other(name) => name,
                }
            }

            /// The name, if it is a known one.
            pub const fn known(&self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($name),)+
                    Self::Other(_) => None,
                }
            }
        }

        impl From<&str> for $enum {
            /// An unknown name is truncated to a bounded length.
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    other => {
                        let end = other.floor_char_boundary($crate::named::MAX_OTHER);
                        Self::Other(other.get(..end).unwrap_or_default().into())
                    }
                }
            }
        }

        impl ::std::fmt::Display for $enum {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::serde::Serialize for $enum {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $enum {
            fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let name = <::std::borrow::Cow<'de, str> as ::serde::Deserialize>::deserialize(from)?;
                Ok(Self::from(name.as_ref()))
            }
        }
    };
}

pub(crate) use named;
