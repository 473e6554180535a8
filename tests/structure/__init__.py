"""What the tree itself promises: walls between packages, declared routes, complete tables, honest documents."""
