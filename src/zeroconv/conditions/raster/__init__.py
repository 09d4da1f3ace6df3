"""Operations on pixels that several conditions share."""
