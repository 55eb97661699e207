using System.Numerics;

namespace IommuFd.Grains.Encoding;

// The numbers of a snapshot, in columns. Objects created one after the other have neighbouring ids, serial numbers and addresses, with
// repeating steps. So a column stores its steps, and a run of equal steps once with its count. 10^6 objects created in a row take a few
// bytes, others about one or two bytes per object and column.
//
// A column is a sequence of groups: a varint of twice a count, plus 1 for a run; then the step of the run, or as many steps as the count
// says. A step is the difference from the previous number (from 0 for the first), modulo 2^64, zigzag-encoded as a varint. A column without
// numbers has no bytes.
//
// The serializer treats a column as a value (DeltaColumnCodec), since a snapshot can have millions of them: it would look an array up among
// all it has written, in search of the same instance.

/// <summary>A saved list of numbers. The default has none.</summary>
/// <param name="Bytes">The column; null for no numbers.</param>
[Immutable, Alias("IommuFd.NumberColumn")]
internal readonly record struct DeltaColumn(byte[]? Bytes)
{
    public ColumnReader Read() => new(Bytes);
}

/// <summary>Writes a column of numbers.</summary>
internal sealed class ColumnWriter
{
    // A shorter run takes no less room as a run than as single steps.
    private const int ShortestRun = 3;

    // So that the head of a group is one byte, which can be updated in place.
    private const int MostSteps = 63;

    private byte[] _bytes = [];
    private int _length;
    private int _group = -1;
    private ulong _last;
    private ulong _step;
    private ulong _repeats;

    public void Add(ulong number)
    {
        var step = number - _last;
        _last = number;
        if (step == _step && _repeats > 0)
        {
            _repeats++;
            return;
        }

        EndRepeats();
        (_step, _repeats) = (step, 1);
    }

    public DeltaColumn ToColumn()
    {
        EndRepeats();
        return _length == 0 ? default : new DeltaColumn(_bytes[.._length]);
    }

    private void EndRepeats()
    {
        if (_repeats >= ShortestRun)
        {
            WriteVarint((_repeats << 1) | 1);
            WriteStep(_step);
            (_group, _repeats) = (-1, 0);
        }

        for (; _repeats > 0; _repeats--)
        {
            if (_group < 0 || _bytes[_group] == MostSteps * 2)
            {
                _group = _length;
                WriteVarint(0);
            }

            _bytes[_group] += 2;
            WriteStep(_step);
        }
    }

    private void WriteStep(ulong step) => WriteVarint((step << 1) ^ (ulong)((long)step >> 63));

    private void WriteVarint(ulong value)
    {
        const int Longest = 10;
        if (_bytes.Length - _length < Longest)
        {
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, Longest * 2));
        }

        for (; value >= 0x80; value >>= 7)
        {
            _bytes[_length++] = (byte)(value | 0x80);
        }

        _bytes[_length++] = (byte)value;
    }
}

/// <summary>Reads a column of numbers. Columns that belong together are read in step and must have the same length.</summary>
/// <param name="bytes">The column; null for one without numbers.</param>
internal sealed class ColumnReader(byte[]? bytes)
{
    private readonly byte[] _bytes = bytes ?? [];
    private int _position;
    private ulong _last;
    private ulong _step;
    private ulong _left;
    private bool _isRun;

    /// <summary>Reads the next number; false after the last.</summary>
    /// <exception cref="System.IO.InvalidDataException">The bytes are not a column.</exception>
    public bool TryNext(out ulong number)
    {
        number = _last;
        if (_left == 0)
        {
            if (_position == _bytes.Length)
            {
                return false;
            }

            var head = ReadVarint();
            (_left, _isRun) = (head >> 1, (head & 1) != 0);
            SnapshotFormat.Require(_left > 0, "A group of a column has no numbers.");
            _step = _isRun ? ReadStep() : 0;
        }

        _left--;
        number = _last += _isRun ? _step : ReadStep();
        return true;
    }

    /// <summary>Reads the next number, which must fit the type; false after the last.</summary>
    /// <typeparam name="T">The type that it must fit.</typeparam>
    public bool TryNext<T>(out T number)
        where T : IBinaryInteger<T>
    {
        var isThere = TryNext(out var any);
        number = isThere ? Fit<T>(any) : T.Zero;
        return isThere;
    }

    /// <summary>Reads the next number, which must exist.</summary>
    public ulong Next()
    {
        SnapshotFormat.Require(TryNext(out var number), "A column is shorter than the one that it belongs to.");
        return number;
    }

    /// <summary>Reads the next number, which must exist and fit the type.</summary>
    /// <typeparam name="T">The type that it must fit.</typeparam>
    public T Next<T>()
        where T : IBinaryInteger<T>
        => Fit<T>(Next());

    /// <summary>Checks that there are no more numbers.</summary>
    public void End() => SnapshotFormat.Require(_left == 0 && _position == _bytes.Length, "A column is longer than the one that it belongs to.");

    private static T Fit<T>(ulong number)
        where T : IBinaryInteger<T>
    {
        var fitting = T.CreateTruncating(number);
        SnapshotFormat.Require(fitting >= T.Zero && ulong.CreateTruncating(fitting) == number, "A number of a column is too large for its type.");
        return fitting;
    }

    private ulong ReadStep()
    {
        var zigzag = ReadVarint();
        return (zigzag >> 1) ^ (0 - (zigzag & 1));
    }

    private ulong ReadVarint()
    {
        var value = 0UL;
        for (var shift = 0; ; shift += 7)
        {
            SnapshotFormat.Require(_position < _bytes.Length && shift < 64, "A column ends inside a number, or has one that is too large.");
            var part = _bytes[_position++];
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80)
            {
                return value;
            }
        }
    }
}
