using System.Globalization;
using System.Text;

namespace IommuFd.GrainInterfaces;

// Names come from programs, and are kept as they are. On a terminal an escape sequence moves the cursor or sets the title, a line break begins a line
// that looks like another program's, and marks of direction turn text around. The same in a log, which is read on terminals.

/// <summary>A text of others as people may see it: in one line, and with nothing in it that a terminal obeys.</summary>
/// <param name="Text">The text as it is kept.</param>
internal readonly record struct Plain(string? Text)
{
    /// <summary>A text as it is shown: what is no visible character stands as <c>\x1B</c> or <c>\u202E</c>.</summary>
    public static string Line(string? text)
    {
        if (text is null || !IsUnsafe(text))
        {
            return text ?? "";
        }

        var shown = new StringBuilder(text.Length + 16);
        foreach (var rune in text.EnumerateRunes())
        {
            if (!IsUnsafe(rune))
            {
                shown.Append(rune.ToString());
            }
            else if (rune.Value <= 0xFF)
            {
                shown.Append(CultureInfo.InvariantCulture, $@"\x{rune.Value:X2}");
            }
            else
            {
                shown.Append(CultureInfo.InvariantCulture, $@"\u{rune.Value:X4}");
            }
        }

        return shown.ToString();
    }

    public static implicit operator Plain(string? text) => new(text);

    /// <inheritdoc/>
    public override string ToString() => Line(Text);

    // Half of a pair is a character by itself here, and a whole pair is taken for one that must be looked at.
    private static bool IsUnsafe(string text) => text.Any(letter => letter is < ' ' or > '~' && (char.IsSurrogate(letter) || IsUnsafe(new Rune(letter))));

    private static bool IsUnsafe(Rune rune)
        => Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator;
}
