using CsCheck;
using IommuFd.Grains.Encoding;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Encoding;

public sealed class DeltaColumnTests
{
    private static readonly Gen<ulong[]> Numbers = Gen.Frequency(
        (3, Gen.ULong[0, 3]), (2, Gen.ULong[0, 1000]), (1, Gen.ULong), (1, Gen.OneOf<ulong>(0UL, 1, ulong.MaxValue, 1UL << 63, (1UL << 63) - 1))).Array[0, 60];

    [Fact]
    public void What_was_written_is_read()
        => Gen.Select(Numbers, Gen.Int[1, 20], Gen.ULong).Sample(
            (numbers, runs, step) =>
            {
                // With runs of one step here and there.
                ulong[] all = [.. numbers, .. Enumerable.Range(0, runs).Select(i => (ulong)i * step), .. numbers];
                Expect.Sequence(all, Read(Write(all)), "the numbers");
            },
            iter: 20_000, threads: 1);

    [Fact]
    public void A_million_ids_in_a_row_are_a_few_bytes()
    {
        var column = Write([.. Enumerable.Range(1, 1_000_000).Select(id => (ulong)id)]);
        Expect.That(column.Bytes!.Length <= 8, $"They take {column.Bytes!.Length} bytes.");
        Expect.Sequence(Enumerable.Range(1, 1_000_000).Select(id => (ulong)id), Read(column), "the ids");
    }

    [Fact]
    public void Neighbours_in_any_order_are_about_a_byte_each()
    {
        var random = new Random(1);
        var column = Write([.. Enumerable.Range(0, 10_000).Select(_ => (ulong)random.Next(60))]);
        Expect.That(column.Bytes!.Length < 10_200, $"10,000 numbers below 60 take {column.Bytes!.Length} bytes.");
    }

    [Fact]
    public void No_numbers_are_no_column()
    {
        Expect.Equal(default, Write([]), "a column without numbers");
        Expect.Sequence([], Read(default), "its numbers");
    }

    [Theory]
    [InlineData(new byte[] { 0 })]
    [InlineData(new byte[] { 1, 2 })]
    [InlineData(new byte[] { 2 })]
    [InlineData(new byte[] { 3 })]
    [InlineData(new byte[] { 4, 2 })]
    [InlineData(new byte[] { 0x80 })]
    [InlineData(new byte[] { 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1 })]
    public void What_is_no_column_is_found_out(byte[] bytes) => Assert.Throws<InvalidDataException>(() => Read(new DeltaColumn(bytes)).Count());

    [Fact]
    public void Columns_that_belong_together_are_equally_long()
    {
        Assert.Throws<InvalidDataException>(() => default(DeltaColumn).Read().Next());
        Assert.Throws<InvalidDataException>(() => Write([5]).Read().End());
        var run = Write([1, 2, 3, 4]).Read();
        run.Next();
        Assert.Throws<InvalidDataException>(run.End);
    }

    [Fact]
    public void A_number_that_does_not_fit_is_found_out()
    {
        Expect.Equal(uint.MaxValue, Write([uint.MaxValue]).Read().Next<uint>(), "the greatest that fits");
        Assert.Throws<InvalidDataException>(() => Write([1UL << 32]).Read().Next<uint>());
        Assert.Throws<InvalidDataException>(() => Write([1UL << 63]).Read().Next<long>());
        Assert.Throws<InvalidDataException>(() => Write([1UL << 31]).Read().Next<int>());
        Assert.Throws<InvalidDataException>(() => Write([1UL << 31]).Read().TryNext<int>(out _));
    }

    private static DeltaColumn Write(ulong[] numbers)
    {
        var writer = new ColumnWriter();
        Array.ForEach(numbers, writer.Add);
        return writer.ToColumn();
    }

    private static IEnumerable<ulong> Read(DeltaColumn column)
    {
        var reader = column.Read();
        while (reader.TryNext(out var number))
        {
            yield return number;
        }

        reader.End();
    }
}
