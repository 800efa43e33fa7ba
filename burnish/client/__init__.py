"""Teachers over HTTP: any server that speaks the OpenAI chat API, asked politely, inside a budget, each reply kept."""
