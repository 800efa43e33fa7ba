"""What a model says on examples, what it scores, and how two models compare on identical rows."""
