//! Keys for servers without a common link, hop by hop. Pure.
