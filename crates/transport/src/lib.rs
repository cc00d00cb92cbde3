//! Node-pair streams over tonic; owner of proto.
