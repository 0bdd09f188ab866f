package ottla;

import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Locale;
import java.util.Map;
import java.util.Random;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;

/**
 * Prints what Kafka's generated classes write: for each class named and each of its versions the class's name, the
 * version and the bytes of a message with random values, for the tests that hold Ottla's own codecs to Kafka's bytes.
 * Not a part of the suites; run as
 * {@code java -cp 'kafka-clients.jar:slf4j-api.jar' Goldens.java SEED SAMPLES CLASS...}.
 */
@SuppressWarnings("unchecked")
public final class Goldens {
    private static final String[] STRINGS = {"", "a", "logs", "with-dash", "\u00fcml\u00e4ut", "\u65e5\u672c"};
    private static final String LONG = "x".repeat(130);

    private final Random random;

    private Goldens(long seed) {
        random = new Random(seed);
    }

    public static void main(String[] args) throws Exception {
        int samples = Integer.parseInt(args[1]);
        for (int at = 2; at < args.length; at++) {
            // A class has the same values whatever is printed before it.
            Goldens goldens = new Goldens(Long.parseLong(args[0]) ^ args[at].hashCode());
            Class<?> type = Class.forName(args[at]);
            Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
            for (short version = 0; version < schemas.length; version++) {
                for (int sample = 0; schemas[version] != null && sample < samples; sample++) {
                    ApiMessage message = (ApiMessage) goldens.filled(type, schemas[version]);
                    System.out.println(type.getSimpleName().replaceAll("Data$", "") + " " + version + " " + hex(message, version));
                }
            }
        }
    }

    private static String hex(ApiMessage message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        boolean isRecord = message.getClass().getPackageName().contains("coordinator");
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version) + (isRecord ? 2 : 0));
        if (isRecord) {
            // In front of a coordinator's key stands its type, in front of a value its version.
            buffer.putShort(message.getClass().getSimpleName().endsWith("Key") ? message.apiKey() : version);
        }
        message.write(new ByteBufferAccessor(buffer), cache, version);
        StringBuilder text = new StringBuilder();
        for (byte one : buffer.array()) {
            text.append(String.format("%02x", one));
        }
        return text.toString();
    }

    private Object filled(Class<?> type, Schema schema) throws Exception {
        Object message = type.getDeclaredConstructor().newInstance();
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields) {
                for (Map.Entry<Integer, Field> tagged : ((TaggedFields) field.def.type).fields().entrySet()) {
                    if (random.nextInt(3) > 0) {
                        set(message, tagged.getValue().name, tagged.getValue().type);
                    }
                }
            } else {
                set(message, field.def.name, field.def.type);
            }
        }
        return message;
    }

    private void set(Object message, String name, org.apache.kafka.common.protocol.types.Type type) throws Exception {
        String setter = "set" + name.replace("_", "").toLowerCase(Locale.ROOT);
        for (Method method : message.getClass().getMethods()) {
            if (method.getName().toLowerCase(Locale.ROOT).equals(setter)) {
                method.invoke(message, value(method.getGenericParameterTypes()[0], type));
                return;
            }
        }
        throw new IllegalStateException(message.getClass() + " has no " + setter);
    }

    private Object value(Type java, org.apache.kafka.common.protocol.types.Type type) throws Exception {
        if (type.isNullable() && random.nextInt(4) == 0) {
            return null;
        } else if (java == String.class) {
            return random.nextInt(20) == 0 ? LONG : STRINGS[random.nextInt(STRINGS.length)];
        } else if (java == boolean.class) {
            return random.nextBoolean();
        } else if (java == byte.class) {
            return (byte) random.nextInt();
        } else if (java == short.class) {
            return (short) random.nextInt();
        } else if (java == int.class && type == org.apache.kafka.common.protocol.types.Type.UINT16) {
            return random.nextInt(1 << 16);
        } else if (java == int.class) {
            return random.nextInt(3) == 0 ? random.nextInt() : random.nextInt(1000) - 1;
        } else if (java == long.class) {
            return random.nextInt(3) == 0 ? random.nextLong() : random.nextInt(1000) - 1;
        } else if (java == double.class) {
            return random.nextDouble();
        } else if (java == Uuid.class) {
            return new Uuid(random.nextLong(), random.nextLong());
        } else if (java == byte[].class) {
            byte[] bytes = new byte[random.nextInt(20)];
            random.nextBytes(bytes);
            return bytes;
        } else if (java == ByteBuffer.class) {
            return ByteBuffer.wrap((byte[]) value(byte[].class, type));
        } else if (java instanceof ParameterizedType) {
            return elements(new ArrayList<>(), ((ParameterizedType) java).getActualTypeArguments()[0], type);
        } else if (Collection.class.isAssignableFrom((Class<?>) java)) {
            Class<?> collection = (Class<?>) java;
            ParameterizedType parent = (ParameterizedType) collection.getGenericSuperclass();
            Collection<Object> empty = (Collection<Object>) collection.getDeclaredConstructor().newInstance();
            return elements(empty, parent.getActualTypeArguments()[0], type);
        }
        Schema schema = type instanceof Schema ? (Schema) type : (Schema) ((Class<?>) java).getField("SCHEMA_0").get(null);
        return filled((Class<?>) java, schema);
    }

    private Object elements(Collection<Object> to, Type java, org.apache.kafka.common.protocol.types.Type type)
            throws Exception {
        org.apache.kafka.common.protocol.types.Type element = type.arrayElementType().get();
        for (int count = random.nextInt(3); count > 0; count--) {
            to.add(value(java == Integer.class ? int.class : java == Short.class ? short.class
                : java == Long.class ? long.class : java == Byte.class ? byte.class : java, element));
        }
        return to;
    }
}
