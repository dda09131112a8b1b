// Where it is told to: without validatorUrl it asks validator.swagger.io what it thinks of the document.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
