// Evaluates flags with flagd's provider for Java, in process; see ../python/engine.py for what goes in and comes out.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.openfeature.contrib.providers.flagd.Config;
import dev.openfeature.contrib.providers.flagd.FlagdOptions;
import dev.openfeature.contrib.providers.flagd.FlagdProvider;
import dev.openfeature.sdk.Client;
import dev.openfeature.sdk.FlagEvaluationDetails;
import dev.openfeature.sdk.MutableContext;
import dev.openfeature.sdk.OpenFeatureAPI;
import dev.openfeature.sdk.Value;
import java.nio.file.Files;
import java.nio.file.Path;

class Engine {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        ArrayNode out = JSON.createArrayNode();
        int number = 0;
        for (JsonNode document : JSON.readTree(System.in).get("documents")) {
            out.add(answer(document, "document-" + number++));
        }
        System.out.println(out);
        System.exit(0); // the providers' threads go on
    }

    static ObjectNode answer(JsonNode document, String domain) throws Exception {
        Path file = Files.createTempFile("engine", ".json");
        Files.writeString(file, document.get("document").asText());
        FlagdProvider provider = new FlagdProvider(FlagdOptions.builder()
                .resolverType(Config.Resolver.FILE).offlineFlagSourcePath(file.toString()).deadline(3000).build());
        ObjectNode result = JSON.createObjectNode();
        try {
            OpenFeatureAPI.getInstance().setProviderAndWait(domain, provider);
        } catch (Exception refused) {
            return result.put("refused", String.valueOf(refused.getMessage()));
        }

        Client client = OpenFeatureAPI.getInstance().getClient(domain);
        ArrayNode answers = result.putArray("answers");
        for (JsonNode question : document.get("asks")) {
            answers.add(ask(client, question));
        }
        return result;
    }

    static ObjectNode ask(Client client, JsonNode question) {
        MutableContext context = new MutableContext();
        question.get("context").properties().forEach(attribute -> {
            if (attribute.getKey().equals("targetingKey")) {
                context.setTargetingKey(attribute.getValue().asText());
            } else {
                context.add(attribute.getKey(), attribute.getValue().asText());
            }
        });

        String key = question.get("key").asText();
        FlagEvaluationDetails<?> found = switch (question.get("type").asText()) {
            case "boolean" -> client.getBooleanDetails(key, false, context);
            case "string" -> client.getStringDetails(key, "", context);
            case "integer" -> client.getIntegerDetails(key, 0, context);
            case "float" -> client.getDoubleDetails(key, 0.0, context);
            default -> client.getObjectDetails(key, new Value(), context);
        };

        ObjectNode result = JSON.createObjectNode();
        if (found.getErrorCode() != null) {
            return result.put("error", found.getErrorCode().name());
        }
        result.set("value", JSON.valueToTree(found.getValue()));
        return result.put("variant", found.getVariant() == null ? "" : found.getVariant()).put("reason", found.getReason());
    }
}
