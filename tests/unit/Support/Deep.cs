using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Text;

namespace IommuFd.UnitTests.Support;

/// <summary>Describes an object by its properties, recursively: equal texts mean equal values, whatever objects they consist of.</summary>
internal static class Deep
{
    public static string Text(object? value)
    {
        var text = new StringBuilder();
        Append(text, value);
        return text.ToString();
    }

    private static void Append(StringBuilder text, object? value)
    {
        switch (value)
        {
            case null:
                text.Append("null");
                break;
            case byte[] bytes:
                text.Append(Convert.ToHexString(bytes));
                break;
            case string or Enum or Guid:
                text.Append('\'').Append(value).Append('\'');
                break;
            case IFormattable number:
                text.Append(number.ToString(null, CultureInfo.InvariantCulture));
                break;
            case bool:
                text.Append(value);
                break;
            case IEnumerable items:
                text.Append('[');
                foreach (var item in items)
                {
                    Append(text, item);
                    text.Append(", ");
                }

                text.Append(']');
                break;
            default:
                text.Append(value.GetType().Name).Append(" { ");
                foreach (var property in value.GetType().GetProperties(BindingFlags.Instance | BindingFlags.Public).OrderBy(property => property.Name, StringComparer.Ordinal))
                {
                    text.Append(property.Name).Append(' ');
                    Append(text, property.GetValue(value));
                    text.Append("; ");
                }

                text.Append('}');
                break;
        }
    }
}
